import { type DescField, type DescMessage, type DescService, ScalarType } from '@bufbuild/protobuf'
import { registry } from '../contract/descriptors.js'
import { jsonExampleOf } from '../contract/json-example.js'
import { alternativesOf, fieldSchema, type JsonSchema, messageSchema, type SchemaStyle } from '../contract/json-schema.js'
import { policyOf } from '../contract/policies.js'
import { type Route, routesOf } from '../contract/routes.js'
import { commentOf, linesOf } from '../contract/source-info.js'
import { checkerOf } from '../contract/validator.js'

export interface DocumentInfo {
  readonly version: string
  /** Where the reader tries a call: `http://127.0.0.1:8080`. */
  readonly serverUrl: string
}

const reasons = new Map(
  registry.getEnum('customer.error.v1.ErrorReason')!.values.map((it) => [it.name.replace('ERROR_REASON_', ''), commentOf(it)]),
)
/** Of a type name its last part: within REST's messages it is unique, which a test holds. */
const shortName = (typeName: string) => typeName.slice(typeName.lastIndexOf('.') + 1)

/**
 * The OpenAPI 3.1 document of whatever REST reaches: descriptions, permissions, reasons of errors, rules of fields and examples are the
 * contract's own words.
 */
export function openApi(services: readonly DescService[], { version, serverUrl }: DocumentInfo): object {
  const defs = new Map<string, JsonSchema>()
  const style: SchemaStyle = {
    defs,
    refTo: (typeName) => `#/components/schemas/${shortName(typeName)}`,
    // of single fields the gateway leaves out what is zero
    isThere: (field) => field.fieldKind === 'list' || field.fieldKind === 'map',
  }
  const paths: Record<string, Record<string, object>> = {}
  // by path, as people look for them
  for (const route of routesOf(services).sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const item = paths[route.path] ?? {}
    item[route.verb] = operation(route, style, serverUrl)
    paths[route.path] = item
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Customer management',
      version,
      summary: 'Customer organisations (tenants), their people and permissions.',
      description:
        'REST through the gateway. Errors have one shape: `code` and `status` are gRPC’s, `details` begin with a `reason`; decide by these, never by the text.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: serverUrl }],
    security: [{ bearer: [] }],
    tags: services.filter((it) => routesOf([it]).length > 0).map((it) => ({ name: it.name, description: commentOf(it) })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'An API key (`ck_…`).' } },
      schemas: { ...Object.fromEntries([...defs].sort().map(([typeName, schema]) => [shortName(typeName), schema])), Error: errorSchema },
      responses: {
        Error: { description: 'What went wrong.', content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } },
      },
    },
  }
}

function operation(route: Route, style: SchemaStyle, serverUrl: string): object {
  const { method, variables, hasBody } = route
  const { text, errors } = wordsOf(route)
  const needed = neededFields(method.input)
  const field = (name: string) => method.input.fields.find((it) => it.name === name)!
  const example = exampleOf(route)
  const parameter = (it: DescField, place: 'path' | 'query') => ({
    name: it.name,
    in: place,
    required: place === 'path' || needed.has(it.name),
    description: commentOf(it),
    schema: fieldSchema(it, style),
    ...(it.name in example.query || place === 'path' ? { example: example.query[it.name] ?? example.path[it.name] } : {}),
  })
  const others = method.input.fields.filter((it) => !variables.includes(it.name))
  return {
    operationId: method.name,
    tags: [method.parent.name],
    summary: text.split(/(?<=\.)\s/)[0],
    description: describe(text, errors),
    parameters: [...variables.map((it) => parameter(field(it), 'path')), ...(hasBody ? [] : others.map((it) => parameter(it, 'query')))],
    ...(hasBody ? { requestBody: bodyOf(route, others, needed, style, example.body) } : {}),
    responses: {
      200: {
        description: commentOf(method.output),
        content: { 'application/json': { schema: reference(method.output, style), example: jsonExampleOf(method.output) } },
      },
      default: { $ref: '#/components/responses/Error' },
    },
    'x-permissions': policyOf(method).permissions,
    'x-reasons': errors,
    'x-codeSamples': [
      { lang: 'curl', source: curlOf(route, example, serverUrl) },
      { lang: 'TypeScript', source: sdkOf(route, example) },
    ],
  }
}

function reference(desc: DescMessage, style: SchemaStyle): JsonSchema {
  if (!style.defs.has(desc.typeName)) {
    style.defs.set(desc.typeName, {})
    style.defs.set(desc.typeName, { description: commentOf(desc), ...messageSchema(desc, style) })
  }
  return { $ref: style.refTo(desc.typeName) }
}

/** The message without what the path says; by itself, since what the path says differs by route. */
function bodyOf(route: Route, fields: readonly DescField[], needed: ReadonlySet<string>, style: SchemaStyle, example: object): object {
  const required = fields.filter((it) => needed.has(it.name)).map((it) => it.name)
  const properties = Object.fromEntries(fields.map((it) => [it.name, { description: commentOf(it), ...fieldSchema(it, style) }]))
  const schema = { type: 'object', title: route.method.input.name, properties, ...(required.length === 0 ? {} : { required }) }
  return { required: required.length > 0, content: { 'application/json': { schema, example } } }
}

/** Top-level fields that an empty message is refused for. */
function neededFields(desc: DescMessage): ReadonlySet<string> {
  return new Set(checkerOf(desc)(new Uint8Array()).violations.map((it) => /^\w*/.exec(it.field)![0]))
}

interface Words {
  readonly text: string
  /** Bare reasons. */
  readonly errors: readonly string[]
}

/** An RPC's comment: what it does, and the reasons that it names. */
function wordsOf({ method }: Route): Words {
  const lines = linesOf(method)
    .split('\n')
    .map((it) => it.trim())
  const named = /^Errors: (.*)\.$/.exec(lines.find((it) => it.startsWith('Errors:')) ?? '')?.[1] ?? ''
  const errors = named === 'none of its own' || named === '' ? [] : named.split(', ')
  return {
    text: lines
      .filter((it) => !it.startsWith('Errors:'))
      .join(' ')
      .trim(),
    errors,
  }
}

function describe(text: string, errors: readonly string[]): string {
  const list = errors.map((it) => `- \`${it}\`: ${reasons.get(it) ?? ''}`)
  return [text.replace(/ (Permission|Consistency):/g, '\n\n**$1:**'), ...(list.length === 0 ? [] : ['', '**Errors:**', ...list])].join('\n')
}

export interface CallExample {
  readonly path: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

/** What guards against others, or belongs to an earlier call, says nothing by way of example. */
const unsaid = new Set(['etag', 'page_token', 'validate_only', 'force', 'purge_hold'])

/** A call that the field's own examples make: a test sends each, with ids that exist. */
export function exampleOf({ method, variables, hasBody }: Route): CallExample {
  const whole = jsonExampleOf(method.input)
  const needed = neededFields(method.input)
  const isSaid = (it: DescField) =>
    !variables.includes(it.name) && !unsaid.has(it.name) && (needed.has(it.name) || !it.name.endsWith('_time'))
  // of fields that exclude each other the last one: the one that means a whole
  const excluded = alternativesOf(method.input).flatMap((names) => names.slice(0, -1))
  const others = method.input.fields.filter((it) => isSaid(it) && it.name in whole && !excluded.includes(it.name))
  const shown = hasBody ? others : others.filter((it) => needed.has(it.name) || it.name === 'page_size')
  const entries = shown.map((it) => [it.name, whole[it.name]!] as const)
  return {
    path: Object.fromEntries(variables.map((it) => [it, String(whole[it])])),
    query: hasBody ? {} : Object.fromEntries(entries.map(([name, value]) => [name, String(value)])),
    body: hasBody ? Object.fromEntries(entries) : {},
  }
}

/** The path and query of an example, as they stand in a URL. */
export function targetOf({ path }: Route, example: CallExample): string {
  const filled = path.replaceAll(/\{([^}]*)\}/g, (_, name: string) => example.path[name]!)
  const query = new URLSearchParams(example.query).toString()
  return query === '' ? filled : `${filled}?${query}`
}

function curlOf(route: Route, example: CallExample, serverUrl: string): string {
  const verb = route.verb === 'get' || route.verb === 'post' ? '' : `-X ${route.verb.toUpperCase()} `
  const body = route.hasBody ? ` \\\n  -d '${JSON.stringify(example.body)}'` : ''
  return `curl ${verb}-H "authorization: Bearer $CUSTOMER_API_KEY" '${serverUrl}${targetOf(route, example)}'${body}`
}

/** The same by the SDK. */
export function sdkOf({ method }: Route, { path, query, body }: CallExample): string {
  const room = method.parent.name.replace(/Service$/, '')
  const said = { ...path, ...query, ...body } as Readonly<Record<string, unknown>>
  // the SDK makes its own request_id
  const fields = method.input.fields.filter((it) => it.name in said && it.name !== 'request_id')
  const lines = fields.map((it) => `  ${it.localName}: ${literal(it, said[it.name])},`)
  return `await client.${lowerFirst(room)}s.${lowerFirst(method.name)}({${lines.length === 0 ? '' : `\n${lines.join('\n')}\n`}})`
}

const lowerFirst = (name: string) => name.charAt(0).toLowerCase() + name.slice(1)

/** A field's example as TypeScript writes it. */
function literal(field: DescField, value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((it) => single(field, it)).join(', ')}]`
  return field.fieldKind === 'map' ? JSON.stringify(value) : single(field, value)
}

function single(field: DescField, value: unknown): string {
  if (field.message?.typeName === 'google.protobuf.Timestamp') return `new Date(${JSON.stringify(value)})`
  if (field.enum) return `${field.enum.name}.${String(value)}`
  if (field.message) {
    const said = value as Readonly<Record<string, unknown>>
    const members = field.message.fields.filter((it) => it.name in said).map((it) => `${it.localName}: ${literal(it, said[it.name])}`)
    return `{ ${members.join(', ')} }`
  }
  return field.scalar === ScalarType.INT32 || field.scalar === ScalarType.UINT32 ? String(value) : JSON.stringify(value)
}

const errorSchema: JsonSchema = {
  type: 'object',
  description: 'What went wrong.',
  properties: {
    code: { type: 'integer', description: 'The gRPC code.' },
    status: { type: 'string', description: 'Its name.', examples: ['INVALID_ARGUMENT'] },
    message: { type: 'string', description: 'For people; it may change.' },
    details: {
      type: 'array',
      description: 'The first is a google.rpc.ErrorInfo with the `reason`; BadRequest names fields, RetryInfo says when to try again.',
      items: {
        type: 'object',
        properties: {
          '@type': { type: 'string' },
          reason: { type: 'string', enum: [...reasons.keys()].filter((it) => it !== 'UNSPECIFIED') },
          domain: { type: 'string', const: 'customer-management' },
          metadata: { type: 'object', additionalProperties: { type: 'string' } },
          field_violations: {
            type: 'array',
            items: { type: 'object', properties: { field: { type: 'string' }, description: { type: 'string' } } },
          },
          retry_delay: { type: 'string', description: 'Seconds, with an s: `1.5s`.' },
        },
        required: ['@type'],
      },
    },
  },
  required: ['code', 'status', 'message', 'details'],
}
