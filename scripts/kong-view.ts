import { type DescEnum, type DescField, type DescFile, type DescMessage, type DescService, ScalarType } from '@bufbuild/protobuf'
import { type Route, routesOf } from '../server/contract/routes.js'

/** Where the entry file imports all others from: the plugin reads this one. */
export const entryFile = 'kong.proto'

const timestamp = 'google.protobuf.Timestamp'
const scalars: Partial<Record<ScalarType, string>> = {
  [ScalarType.STRING]: 'string',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.INT32]: 'int32',
  [ScalarType.UINT32]: 'uint32',
}

/**
 * What Kong's grpc-gateway reads instead of the contract, by file name; all files lie in one folder, since it looks for imports beside the entry
 * file. Its parser refuses proto3 `optional` and loses values where a field has an option, so: proto2, where every single field is `optional` and
 * keeps its presence, no options but google.api.http (which it knows without its file), members of a oneof as plain fields (the wire is the same),
 * one service block a binding (of several bindings it takes the first and the last), the most specific first, for it takes the first that matches.
 * @throws Error where REST cannot show a type: the linter says it with its line
 */
export function kongView(services: readonly DescService[]): Map<string, string> {
  const routes = routesOf(services)
  const types = reachable(routes)
  const files = new Set([...routes.map((it) => it.method.parent.file), ...[...types].map((it) => it.file)])
  const packages = [...new Set([...files].map((it) => it.proto.package))].sort()
  const view = new Map<string, string>()
  view.set(entryFile, page('The entry: what it imports is all that Kong serves.', packages.map(fileOf)))
  for (const name of packages) {
    const here = ({ file }: { file: DescFile }) => file.proto.package === name
    const ours = [...types].filter(here).sort((one, other) => (one.typeName < other.typeName ? -1 : 1))
    const ownRoutes = routes.filter((it) => here(it.method.parent))
    const imports = importsOf(name, ownRoutes, ours)
    const blocks = [...ownRoutes.map(serviceBlock), ...ours.map((it) => (it.kind === 'enum' ? enumBlock(it) : messageBlock(it)))]
    view.set(fileOf(name), page(`Kong's view of ${name}. Not for protoc: services repeat.`, imports, name, blocks))
  }
  return view
}

const fileOf = (name: string) => `${name}.proto`

function page(title: string, imports: readonly string[], name = '', blocks: readonly string[] = []): string {
  const head = [`// ${title} Made by \`npm run gen\`.`, 'syntax = "proto2";', ...(name === '' ? [] : ['', `package ${name};`])]
  const lines = imports.length === 0 ? [] : ['', ...imports.map((it) => `import "${it}";`)]
  return `${[...head, ...lines, ...blocks.flatMap((it) => ['', it])].join('\n')}\n`
}

/** Every message and enum that some request or answer holds. */
function reachable(routes: readonly Route[]): Set<DescMessage | DescEnum> {
  const seen = new Set<DescMessage | DescEnum>(routes.flatMap((it) => [it.method.input, it.method.output]))
  for (const type of seen) {
    if (type.parent) throw new Error(`${type.typeName} stands inside of another message`)
    for (const field of type.kind === 'message' ? type.fields : []) {
      if (field.enum) seen.add(field.enum)
      if (field.message && field.message.typeName !== timestamp) seen.add(field.message)
    }
  }
  return seen
}

function importsOf(name: string, routes: readonly Route[], types: readonly (DescMessage | DescEnum)[]): string[] {
  const fields = types.flatMap((it) => (it.kind === 'message' ? it.fields : []))
  const used = [...routes.flatMap((it) => [it.method.input, it.method.output]), ...fields.flatMap((it) => [it.message, it.enum])]
  const names = used.filter((it) => it !== undefined).map((it) => it.file.proto.package)
  return [...new Set(names)]
    .filter((it) => it !== name)
    .map((it) => (it === 'google.protobuf' ? 'google/protobuf/timestamp.proto' : fileOf(it)))
    .sort()
}

function serviceBlock({ method, verb, path, hasBody }: Route): string {
  const rule = `${verb}: ${JSON.stringify(path)}${hasBody ? ' body: "*"' : ''}`
  return [
    `service ${method.parent.name} {`,
    `  rpc ${method.name}(.${method.input.typeName}) returns (.${method.output.typeName}) {`,
    `    option (google.api.http) = {${rule}};`,
    '  }',
    '}',
  ].join('\n')
}

const enumBlock = (it: DescEnum) => [`enum ${it.name} {`, ...it.values.map(({ name, number }) => `  ${name} = ${number};`), '}'].join('\n')

const messageBlock = (it: DescMessage) => [`message ${it.name} {`, ...it.fields.map(fieldLine), '}'].join('\n')

function fieldLine(field: DescField): string {
  const type = field.message ? `.${field.message.typeName}` : field.enum ? `.${field.enum.typeName}` : scalars[field.scalar!]
  if (type === undefined) throw new Error(`${field.parent.typeName}.${field.name} is of a type that the plugin does not carry`)
  if (field.fieldKind === 'map') return `  map<string, ${type}> ${field.name} = ${field.number};`
  return `  ${field.fieldKind === 'list' ? 'repeated' : 'optional'} ${type} ${field.name} = ${field.number};`
}
