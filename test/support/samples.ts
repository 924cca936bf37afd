import { type DescField, type DescMessage, fromJson, ScalarType, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { rulesOf } from '../../server/contract/json-schema.js'

type Json = string | number | boolean | Json[] | { [name: string]: Json }
export type Fields = { readonly [name: string]: Json }

const firstExample = (field: DescField): Json | undefined => {
  const rules = rulesOf(field)?.type
  return rules?.value && 'example' in rules.value ? (rules.value.example[0] as Json | undefined) : undefined
}

const sampleItems = (field: DescField): Json[] => {
  const rules = rulesOf(field)?.type
  const items = rules?.case === 'repeated' ? rules.value.items?.type : undefined
  return items?.value && 'example' in items.value ? [...(items.value.example as Json[])] : []
}

/** What a field may hold, from its rules; undefined: better nothing. `key` is the key of every map. */
function sampleField(field: DescField, key: string): Json | undefined {
  switch (field.fieldKind) {
    case 'scalar':
      if (field.scalar === ScalarType.BOOL) return undefined
      return field.scalar === ScalarType.STRING ? firstExample(field) : (firstExample(field) ?? 1)
    case 'enum':
      return field.enum.values.find((value) => value.number !== 0)?.name
    case 'message':
      return field.message.typeName.startsWith('google.protobuf.') ? undefined : sampleFields(field.message, {}, key)
    case 'list':
      return field.message ? [sampleFields(field.message, {}, key)] : sampleItems(field)
    case 'map':
      return { [key]: 'sample' }
  }
}

function sampleFields(desc: DescMessage, given: Fields, key: string): { [name: string]: Json } {
  const fields = desc.fields.map((field) => [field.name, given[field.name] ?? sampleField(field, key)] as const)
  return Object.fromEntries(fields.filter((pair): pair is [string, Json] => pair[1] !== undefined))
}

const encode = (desc: DescMessage, fields: Fields) => toBinary(desc, fromJson(desc, fields as never))

/** A message that its rules allow, made of the examples beside its fields; `given` holds the values of fields by name, wherever one is so called. */
export const sampleOf = (desc: DescMessage, given: Fields, key: string): Uint8Array => encode(desc, sampleFields(desc, given, key))

/** The same once for each of its strings, which is far too long then, with the name of the message's own field that holds it. */
export function oversizedOf(desc: DescMessage, given: Fields, key: string): { field: string; bytes: Uint8Array }[] {
  const whole = sampleFields(desc, given, key)
  const long = 'x'.repeat(100_000)
  return desc.fields.flatMap((field) => {
    const put = (value: Json) => ({ field: field.name, bytes: encode(desc, { ...whole, [field.name]: value }) })
    if (field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING) return [put(long)]
    if (field.fieldKind === 'list' && field.listKind === 'scalar' && field.scalar === ScalarType.STRING) return [put([long])]
    if (field.fieldKind === 'map' && field.scalar === ScalarType.STRING) return [put({ [key]: long }), put({ [long]: 'x' })]
    if (field.fieldKind !== 'message' || field.message.typeName.startsWith('google.protobuf.')) return []
    return field.message.fields.filter((it) => it.scalar === ScalarType.STRING).map((it) => put({ [it.name]: long }))
  })
}

/** As a share of the message's length, evenly: doubles of fast-check are nearly all close to 0. */
const place = fc.noBias(fc.nat(9_999)).map((share) => share / 10_000)
const letter = fc.integer({ min: 97, max: 122 })
const edit = fc.oneof(
  { weight: 3, arbitrary: fc.record({ at: place, cut: fc.constant(1), put: letter.map((code) => Uint8Array.of(code)) }) },
  fc.record({ at: place, cut: fc.constant(1), put: fc.uint8Array({ minLength: 1, maxLength: 1 }) }),
  fc.record({ at: place, cut: fc.nat(8), put: fc.uint8Array({ maxLength: 8 }) }),
  fc.record({
    at: place,
    cut: fc.constantFrom(0, 1, 10_000),
    put: fc.constantFrom(
      ...['', '00', 'ff', '0b', '0c', 'c080', 'edA080', 'ffffffffff7f', 'ffffffffffffffffff01'].map((hex) =>
        Uint8Array.from(Buffer.from(hex, 'hex')),
      ),
    ),
  }),
)

export interface Mutation {
  readonly nth: number
  readonly edits: readonly { readonly at: number; readonly cut: number; readonly put: Uint8Array }[]
}

/** Ways to spoil a message, by bytes; `nth` of `kinds` is the message. */
export const mutations = (kinds: number): fc.Arbitrary<Mutation> =>
  fc.record({ nth: fc.nat(kinds - 1), edits: fc.array(edit, { minLength: 1, maxLength: 3 }) })

export function mutated(bytes: Uint8Array, { edits }: Mutation): Uint8Array {
  return edits.reduce<Uint8Array>((now, { at, cut, put }) => {
    const start = Math.floor(at * now.length)
    return Buffer.concat([now.subarray(0, start), put, now.subarray(start + cut)])
  }, bytes)
}
