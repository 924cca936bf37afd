import { create, type DescMessage, type DescService, fromBinary, toBinary, toJson } from '@bufbuild/protobuf'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entryFile, kongView } from '../../scripts/kong-view.js'
import { services } from '../../server/contract/descriptors.js'
import { meet, routesOf } from '../../server/contract/routes.js'
import { fixtureServices, kongCases, recordedView } from '../support/edge-fixture.js'
import { type KongProto, type KongRoute, readKongView } from '../support/kong-proto.js'

const fixture = fixtureServices()
const recorded = readKongView(new Map([['view.proto', recordedView()]]), 'view.proto')
const viewOf = (of: readonly DescService[]) => readKongView(kongView(of), entryFile)

const variable = /\{[^}]*\}/g
/** The plugin's way: the first that matches, in the order of the files. */
const firstMatch = ({ routes }: KongProto, verb: string, path: string) =>
  routes.find((it) => it.verb === verb && new RegExp(`^${it.path.replace(variable, '([^/]+)')}$`).test(path))

const typesOf = ({ types }: KongProto) =>
  Object.fromEntries(
    [...types]
      .filter((it) => it.kind === 'message' || it.kind === 'enum')
      .filter((it) => !it.typeName.startsWith('google.'))
      .map((it) => [
        it.typeName,
        it.kind === 'message' ? it.fields.map(shape).sort() : it.values.map((value) => `${value.name}=${value.number}`),
      ]),
  )
const shape = (field: DescMessage['fields'][number]) =>
  `${field.number} ${field.name} ${field.fieldKind} ${field.message?.typeName ?? field.enum?.typeName ?? field.scalar} ${field.presence}`

describe('the view of the fixture contract', () => {
  const made = viewOf(fixture)
  const inOrder = (routes: readonly KongRoute[]) => [...routes].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

  it('has the messages and enums of the recorded one, field by field', () => expect(typesOf(made)).toEqual(typesOf(recorded)))
  it('has its bindings', () => expect(inOrder(made.routes)).toEqual(inOrder(recorded.routes)))

  it('sends every recorded request to the same binding', () => {
    const asked = kongCases().flatMap(({ request: { method, path } }) =>
      typeof path === 'string' ? [[method.toLowerCase(), path.split('?')[0]!]] : [],
    )
    expect(asked.length).toBeGreaterThan(500)
    for (const [verb, path] of asked) expect(firstMatch(made, verb!, path!), `${verb} ${path}`).toEqual(firstMatch(recorded, verb!, path!))
  })
})

describe('our view', () => {
  const made = viewOf(services())

  it('has every binding of the contract, and no other', () => {
    const wanted = routesOf(services()).map(
      ({ verb, path, method, hasBody }) => `${verb} ${path} ${hasBody} ${method.parent.typeName}/${method.name}`,
    )
    expect(made.routes.map((it) => `${it.verb} ${it.path} ${it.hasBody} ${it.rpc}`).sort()).toEqual(wanted.sort())
  })

  it('sends a path of every binding to that binding, for no pair meets', () => {
    const { routes } = made
    expect(routes.flatMap((one, i) => routes.slice(i + 1).filter((other) => meet(one, other)))).toEqual([])
    for (const it of routes) expect(firstMatch(made, it.verb, it.path.replace(variable, 'x'))).toEqual(it)
  })
})

/** Any message of a type, nested ones at most three deep; what is optional may be there and empty. */
function anyMessage(desc: DescMessage, depth = 0): fc.Arbitrary<Record<string, unknown>> {
  const text = fc.string({ unit: 'binary', maxLength: 12 })
  const one = (field: DescMessage['fields'][number]): fc.Arbitrary<unknown> => {
    if (field.enum) return fc.constantFrom(...field.enum.values.map((it) => it.number))
    if (field.message?.typeName === TimestampSchema.typeName) {
      return fc
        .record({ seconds: fc.bigInt(-62135596800n, 253402300799n), nanos: fc.integer({ min: 0, max: 999_999_999 }) })
        .map((it) => create(TimestampSchema, it))
    }
    if (field.message) return anyMessage(field.message, depth + 1).map((it) => create(field.message!, it))
    const numbers = { 5: fc.integer(), 13: fc.integer({ min: 0, max: 0xffffffff }), 8: fc.boolean() } as Record<
      number,
      fc.Arbitrary<unknown>
    >
    return numbers[field.scalar!] ?? text
  }
  const fields = desc.fields.filter((it) => (!it.message || depth < 3) && it.oneof === undefined)
  const entries = fields.map((field): [string, fc.Arbitrary<unknown>] => {
    if (field.fieldKind === 'list') return [field.localName, fc.array(one(field), { maxLength: 3 })]
    return [field.localName, field.fieldKind === 'map' ? fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }) : one(field)]
  })
  const oneofs = desc.oneofs.map((oneof): [string, fc.Arbitrary<unknown>] => [
    oneof.localName,
    fc.oneof(...oneof.fields.map((field) => one(field).map((value) => ({ case: field.localName, value })))),
  ])
  return fc.record(Object.fromEntries([...entries, ...oneofs]), { requiredKeys: [] })
}

describe.each([
  ['the fixture', fixture],
  ['our contract', services()],
])('the wire of %s', (_, of) => {
  const { types } = viewOf(of)
  const messages = new Set(routesOf(of).flatMap(({ method }) => [method.input, method.output]))

  it.each([...messages].map((it) => [it.typeName, it] as const))('%s: what one side writes the other reads', (typeName, source) => {
    const view = types.getMessage(typeName)!
    /** In the view the members of a oneof are plain fields. */
    const plain = (value: Record<string, unknown>) => {
      const members = source.oneofs.flatMap(({ localName }) =>
        value[localName] ? [value[localName] as { case: string; value: unknown }] : [],
      )
      return { ...value, ...Object.fromEntries(members.map((it) => [it.case, it.value])) }
    }
    const meant = (value: Record<string, unknown>) => toJson(source, create(source, value))
    const told = (bytes: Uint8Array) => toJson(source, fromBinary(source, bytes))
    fc.assert(
      fc.property(anyMessage(source), (value) => {
        const read = fromBinary(view, toBinary(source, create(source, value)))
        expect(read.$unknown ?? []).toEqual([])
        expect(told(toBinary(view, read))).toEqual(meant(value))
        expect(told(toBinary(view, create(view, plain(value))))).toEqual(meant(value))
      }),
      { numRuns: 40 },
    )
  })
})

describe('a view that the plugin would not carry is refused by whoever reads it here', () => {
  const read = (body: string, syntax = 'proto2') =>
    readKongView(new Map([['x.proto', `syntax = "${syntax}"; package x; ${body}`]]), 'x.proto')
  it.each([
    ['message M { optional string a = 1; }', 'proto3'],
    ['message M { optional string a = 1 [deprecated = true]; }', 'proto2'],
    ['message M { string a = 1; }', 'proto2'],
    ['message M { oneof o { string a = 1; } }', 'proto2'],
    ['message M { optional int64 a = 1; }', 'proto2'],
    ['message M { optional string a = 1; message N { } }', 'proto2'],
    ['import "google/api/annotations.proto";', 'proto2'],
    ['message M { optional .x.N n = 1; }', 'proto2'],
    ['option go_package = "x";', 'proto2'],
  ])('%s in %s', (body, syntax) => expect(() => read(body, syntax)).toThrow())
})
