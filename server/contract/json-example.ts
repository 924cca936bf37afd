import { type DescEnum, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import type { FieldRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { rulesOf } from './json-schema.js'

type Json = string | number | boolean | Json[] | { [name: string]: Json }

/**
 * Data that fits the schema of the message (`jsonSchemaOf`): the first `example` of a field's rules, else a plain value of its type. Times that
 * stand for something which may not have happened (`<noun>_time` other than create, update and expire) are left out, unless they have an example.
 */
export function jsonExampleOf(desc: DescMessage): { [name: string]: Json } {
  const there = desc.fields.filter((field) => !mayBeUnset(field))
  return Object.fromEntries(there.map((field) => [field.name, fieldExample(field)]))
}

const mayBeUnset = (field: DescField) =>
  field.fieldKind === 'message' &&
  isTime(field.message) &&
  !['create_time', 'update_time', 'expire_time'].includes(field.name) &&
  timeExample(field) === undefined

function timeExample(field: DescField): string | undefined {
  const type = rulesOf(field)?.type
  const [first] = type?.case === 'timestamp' ? type.value.example : []
  return first && new Date(Number(first.seconds) * 1000).toISOString().replace('.000Z', 'Z')
}

const isTime = (desc: DescMessage) => desc.typeName === 'google.protobuf.Timestamp'

function fieldExample(field: DescField): Json {
  const rules = rulesOf(field)
  switch (field.fieldKind) {
    case 'scalar':
      return scalarExample(field.scalar, rules)
    case 'enum':
      return enumExample(field.enum, rules)
    case 'message':
      return timeExample(field) ?? messageExample(field.message)
    case 'list':
      return [elementExample(field, rules?.type.case === 'repeated' ? rules.type.value.items : undefined)]
    case 'map': {
      const map = rules?.type.case === 'map' ? rules.type.value : undefined
      return { [String(scalarExample(field.mapKey, map?.keys))]: elementExample(field, map?.values) }
    }
  }
}

function elementExample(field: DescField & { fieldKind: 'list' | 'map' }, rules: FieldRules | undefined): Json {
  if (field.message) return messageExample(field.message)
  return field.enum ? enumExample(field.enum, rules) : scalarExample(field.scalar!, rules)
}

const messageExample = (desc: DescMessage): Json => (isTime(desc) ? '2026-01-15T09:30:00.123Z' : jsonExampleOf(desc))

function enumExample(desc: DescEnum, rules: FieldRules | undefined): Json {
  const wanted = rules?.type.case === 'enum' ? rules.type.value.example[0] : undefined
  const value = desc.values.find((it) => it.number === wanted) ?? desc.values.find((it) => it.number !== 0) ?? desc.values[0]!
  return value.name
}

const texts = ['example', '42', '00000000000000000042', '6f1c0a52-8d3e-4b7a-9c15-2e0d4f6a8b91']

/** The first text that the rules let pass, for fields that have no example of their own. */
function textFor(rules: FieldRules | undefined): string {
  if (rules?.type.case !== 'string') return texts[0]!
  const { pattern, wellKnown } = rules.type.value
  if (wellKnown.case === 'uuid') return texts.at(-1)!
  return texts.find((it) => new RegExp(pattern, 'u').test(it)) ?? texts[0]!
}

function scalarExample(scalar: ScalarType, rules: FieldRules | undefined): Json {
  const examples = rules?.type.value && 'example' in rules.type.value ? (rules.type.value.example as readonly unknown[]) : []
  const [first] = examples
  switch (scalar) {
    case ScalarType.STRING:
      return typeof first === 'string' ? first : textFor(rules)
    case ScalarType.BYTES:
      return ''
    case ScalarType.BOOL:
      return first === undefined ? true : first === true
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return String(first ?? 1)
    default:
      return Number(first ?? 1)
  }
}
