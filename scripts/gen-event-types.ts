// Writes gen/event-types.ts, which the SDK's consumer is typed by: every event's data as its JSON stands on the wire, out of the catalogue's JSON
// Schemas. Run by gen.mjs.
import { writeFileSync } from 'node:fs'
import { eventTypes } from '../server/contract/event-catalogue.js'
import { jsonSchemaOf } from '../server/contract/json-schema.js'

/** Of JSON Schema what jsonSchemaOf writes. */
interface Schema {
  readonly title?: string
  readonly description?: string
  readonly type?: string | readonly string[]
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly enum?: readonly string[]
  readonly items?: Schema
  readonly additionalProperties?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
}

const interfaces = new Map<string, { readonly of: string; readonly text: string }>()

const shortName = (fullName: string) => fullName.slice(fullName.lastIndexOf('.') + 1)
const comment = (text: string | undefined, indent = '') => (text ? `${indent}/** ${text.replaceAll('*/', '* /')} */\n` : '')

function typeOf(schema: Schema): string {
  if (schema.$ref) return shortName(schema.$ref)
  // A newer service may send others.
  if (schema.enum) return [...schema.enum.map((value) => `'${value}'`), '(string & {})'].join(' | ')
  if (Array.isArray(schema.type)) return schema.type.join(' | ')
  if (schema.type === 'array') return `ReadonlyArray<${typeOf(schema.items!)}>`
  if (schema.type === 'object') return `Readonly<Record<string, ${typeOf(schema.additionalProperties!)}>>`
  if (schema.type === 'integer') return 'number'
  return schema.type as string
}

function addInterface(fullName: string, { description, properties = {}, required = [] }: Schema): void {
  const name = shortName(fullName)
  const fields = Object.entries(properties).map(
    ([field, schema]) =>
      `${comment(schema.description, '  ')}  readonly ${field}${required.includes(field) ? '' : '?'}: ${typeOf(schema)}\n`,
  )
  const known = interfaces.get(name)
  if (known && known.of !== fullName) throw new Error(`${known.of} and ${fullName} would have one name`)
  interfaces.set(name, { of: fullName, text: `${comment(description)}export interface ${name} {\n${fields.join('')}}\n` })
}

for (const { desc, dataschema, description } of eventTypes) {
  const schema = jsonSchemaOf(desc, { id: dataschema, description }) as Schema
  for (const [name, part] of Object.entries(schema.$defs ?? {})) addInterface(name, part)
  addInterface(desc.typeName, schema)
}

const types = eventTypes.map(({ ceType, desc }) => [ceType, shortName(desc.typeName)] as const)
writeFileSync(
  'gen/event-types.ts',
  `// Made by scripts/gen-event-types.ts.
${[...interfaces.values()].map(({ text }) => `\n${text}`).join('')}
/** Every type of event that this version knows, and its data. */
export interface EventData {
${types.map(([ceType, name]) => `  readonly '${ceType}': ${name}\n`).join('')}}

export const eventTypes: ReadonlySet<string> = new Set<keyof EventData>([
${types.map(([ceType]) => `  '${ceType}',\n`).join('')}])
`,
)
