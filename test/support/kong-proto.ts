import { create, createFileRegistry, type FileRegistry } from '@bufbuild/protobuf'
import {
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_timestamp,
  FieldDescriptorProto_Label as Label,
  MessageOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'

export interface KongRoute {
  readonly verb: string
  readonly path: string
  readonly hasBody: boolean
  /** `customer.tenant.v1.TenantService/GetTenant` */
  readonly rpc: string
  readonly input: string
  readonly output: string
}

export interface KongProto {
  /** In the order in which the plugin comes to them. */
  readonly routes: readonly KongRoute[]
  readonly types: FileRegistry
}

const scalars: Record<string, Type> = { string: Type.STRING, bool: Type.BOOL, int32: Type.INT32, uint32: Type.UINT32 }
const verbs = ['get', 'post', 'patch', 'delete', 'put']

/**
 * Reads a view as Kong's plugin does, from its entry file: imports first, in their order, beside the entry file or out of google/protobuf; then
 * the services of the file itself. It takes what the plugin carries unharmed and nothing else.
 * @throws Error over proto3, `optional` without proto2, field options, oneofs, nested types, and whatever else it does not know
 */
export function readKongView(files: ReadonlyMap<string, string>, entry: string): KongProto {
  const loaded = new Map<string, FileDescriptorProto>()
  const routes: KongRoute[] = []
  const load = (name: string, trail: readonly string[]) => {
    if (name.startsWith('google/protobuf/') || loaded.has(name)) return
    if (trail.includes(name)) throw new Error(`${[...trail, name].join(' imports ')}`)
    const text = files.get(name)
    if (text === undefined) throw new Error(`${name} does not lie beside the entry file`)
    const file = readFile(name, text)
    for (const it of file.descriptor.dependency) load(it, [...trail, name])
    loaded.set(name, file.descriptor)
    routes.push(...file.routes)
  }
  load(entry, [])
  settleTypes([...loaded.values()])
  const set = create(FileDescriptorSetSchema, { file: [file_google_protobuf_timestamp.proto, ...loaded.values()] })
  return { routes, types: createFileRegistry(set) }
}

/** A named type is a message until some enum has its name. */
function settleTypes(files: readonly FileDescriptorProto[]): void {
  const enums = new Set(files.flatMap((file) => file.enumType.map((it) => `.${file.package}.${it.name}`)))
  for (const field of files.flatMap((file) => file.messageType.flatMap((it) => it.field))) {
    if (enums.has(field.typeName)) field.type = Type.ENUM
  }
}

function readFile(name: string, text: string) {
  const tokens = text.replaceAll(/\/\/[^\n]*/g, '').match(/"(?:[^"\\\n])*"|[\w.]+|[^\s\w]/g) ?? []
  let at = 0
  const refuse = (): never => {
    throw new Error(`${name}: ${tokens.slice(Math.max(0, at - 6), at + 1).join(' ')}: the plugin does not carry this`)
  }
  const next = () => tokens[at++] ?? refuse()
  const expect = (...wanted: string[]) => {
    for (const it of wanted) if (next() !== it) refuse()
  }
  const word = (pattern: RegExp) => {
    const token = next()
    return pattern.test(token) ? token : refuse()
  }
  const quoted = () => word(/^"/).slice(1, -1)
  const ident = () => word(/^[A-Za-z_]\w*$/)
  const tag = () => {
    expect('=')
    return Number(word(/^\d+$/))
  }
  const typeName = () => word(/^[\w.]+$/)
  const descriptor = create(FileDescriptorProtoSchema, { name, syntax: 'proto2' })
  const routes: KongRoute[] = []

  function service() {
    const serviceName = ident()
    expect('{')
    while (tokens[at] === 'rpc') {
      at++
      const rpc = `${descriptor.package}.${serviceName}/${ident()}`
      expect('(')
      const input = typeName().slice(1)
      expect(')', 'returns', '(')
      const output = typeName().slice(1)
      expect(')', '{', 'option', '(', 'google.api.http', ')', '=', '{')
      const verb = next()
      if (!verbs.includes(verb)) refuse()
      expect(':')
      const path = quoted()
      const hasBody = tokens[at] === 'body'
      if (hasBody) expect('body', ':', '"*"')
      expect('}', ';', '}')
      routes.push({ verb, path, hasBody, rpc, input, output })
    }
    expect('}')
  }
  function message() {
    const messageName = ident()
    const field: FieldDescriptorProto[] = []
    const nestedType = []
    expect('{')
    while (tokens[at] !== '}') {
      const label = next()
      if (label === 'map') {
        expect('<', 'string', ',', 'string', '>')
        const it = { name: ident(), number: tag() }
        const entry = `${it.name.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Entry`
        const typeName = `.${descriptor.package}.${messageName}.${entry}`
        field.push(create(FieldDescriptorProtoSchema, { ...it, label: Label.REPEATED, type: Type.MESSAGE, typeName }))
        const part = (partName: string, partNumber: number) =>
          create(FieldDescriptorProtoSchema, { name: partName, number: partNumber, label: Label.OPTIONAL, type: Type.STRING })
        nestedType.push({
          name: entry,
          field: [part('key', 1), part('value', 2)],
          options: create(MessageOptionsSchema, { mapEntry: true }),
        })
      } else {
        if (label !== 'optional' && label !== 'repeated') refuse()
        const type = typeName()
        const known = type.startsWith('.') ? { type: Type.MESSAGE, typeName: type } : { type: scalars[type] ?? refuse() }
        const it = { name: ident(), number: tag() }
        field.push(create(FieldDescriptorProtoSchema, { ...it, ...known, label: label === 'optional' ? Label.OPTIONAL : Label.REPEATED }))
      }
      expect(';')
    }
    expect('}')
    descriptor.messageType.push(
      create(FileDescriptorProtoSchema, { messageType: [{ name: messageName, field, nestedType }] }).messageType[0]!,
    )
  }
  function enumeration() {
    const enumName = ident()
    const value: { name: string; number: number }[] = []
    expect('{')
    while (tokens[at] !== '}') {
      value.push({ name: ident(), number: tag() })
      expect(';')
    }
    expect('}')
    descriptor.enumType.push(create(FileDescriptorProtoSchema, { enumType: [{ name: enumName, value }] }).enumType[0]!)
  }

  expect('syntax', '=', '"proto2"', ';')
  while (at < tokens.length) {
    const what = next()
    if (what === 'package') descriptor.package = typeName()
    else if (what === 'import') descriptor.dependency.push(quoted())
    else if (what === 'service') service()
    else if (what === 'message') message()
    else if (what === 'enum') enumeration()
    else refuse()
    if (what === 'package' || what === 'import') expect(';')
  }
  return { descriptor, routes }
}
