import { type DescEnum, type DescField, type DescMessage, getOption, hasOption, ScalarType } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt'
import {
  type FieldRules,
  field as fieldRules,
  type MapRules,
  message as messageRules,
  type RepeatedRules,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { commentOf } from './source-info.js'

/** JSON Schema, draft 2020-12. */
export type JsonSchema = { readonly [keyword: string]: unknown }

const draft = 'https://json-schema.org/draft/2020-12/schema'
const timestamp = 'google.protobuf.Timestamp'

/**
 * The schema of a message as `toJson(…, { useProtoFieldName: true, alwaysEmitImplicit: true })` writes it: names as in the proto, enums by full
 * name, 64-bit numbers as decimal strings, fields without presence always there. Of the field rules it holds those that JSON Schema can say.
 * Other properties are allowed: a later version may add some.
 */
export function jsonSchemaOf(desc: DescMessage, { id, description }: { id: string; description: string }): JsonSchema {
  const defs = new Map<string, JsonSchema>()
  const root = messageSchema(desc, { defs, refTo: (typeName) => `#/$defs/${typeName}`, isThere: alwaysThere })
  return {
    $schema: draft,
    $id: id,
    title: desc.typeName,
    description,
    ...root,
    ...(defs.size === 0 ? {} : { $defs: Object.fromEntries(defs) }),
  }
}

/** Where the schemas of nested messages go, and how they are said. */
export interface SchemaStyle {
  /** By type name. */
  readonly defs: Map<string, JsonSchema>
  refTo(typeName: string): string
  /** Whether a field is there in every JSON of its message. */
  isThere(field: DescField): boolean
}

/** `optional` scalars and messages are left out where they are unset; all else is always there. */
const alwaysThere = (field: DescField) =>
  field.fieldKind === 'list' ||
  field.fieldKind === 'map' ||
  (field.fieldKind !== 'message' && field.presence === FeatureSet_FieldPresence.IMPLICIT)

/** Without a name of its own; what it holds is added to the style's definitions. */
export function messageSchema(desc: DescMessage, style: SchemaStyle): JsonSchema {
  const required = desc.fields.filter((field) => style.isThere(field) && field.oneof === undefined).map((field) => field.name)
  return {
    type: 'object',
    properties: Object.fromEntries(desc.fields.map((field) => [field.name, described(field, fieldSchema(field, style))])),
    ...(required.length === 0 ? {} : { required }),
  }
}

/** The field's comment beside its schema; a `$ref` may have neighbours in this draft. */
function described(field: DescField, schema: JsonSchema): JsonSchema {
  const description = commentOf(field)
  return description === '' ? schema : { description, ...schema }
}

/** The protovalidate rules of a field; undefined where it has none. */
export const rulesOf = (field: DescField): FieldRules | undefined =>
  hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined

/** Names of fields of which one may be set. */
export const alternativesOf = (desc: DescMessage): readonly (readonly string[])[] =>
  hasOption(desc, messageRules) ? getOption(desc, messageRules).oneof.map((it) => it.fields) : []

export function fieldSchema(field: DescField, style: SchemaStyle): JsonSchema {
  const rules = rulesOf(field)
  switch (field.fieldKind) {
    case 'scalar':
      return scalarSchema(field.scalar, rules)
    case 'enum':
      return enumSchema(field.enum)
    case 'message':
      return reference(field.message, style)
    case 'list': {
      const list = rules?.type.case === 'repeated' ? rules.type.value : undefined
      return { type: 'array', items: elementSchema(field, list?.items, style), ...listBounds(list) }
    }
    case 'map': {
      const map = rules?.type.case === 'map' ? rules.type.value : undefined
      const names = map?.keys ? scalarSchema(field.mapKey, map.keys) : undefined
      return {
        type: 'object',
        additionalProperties: elementSchema(field, map?.values, style),
        ...(names && field.mapKey === ScalarType.STRING ? { propertyNames: names } : {}),
        ...mapBounds(map),
      }
    }
  }
}

function elementSchema(field: DescField & { fieldKind: 'list' | 'map' }, rules: FieldRules | undefined, style: SchemaStyle): JsonSchema {
  if (field.message) return reference(field.message, style)
  return field.enum ? enumSchema(field.enum) : scalarSchema(field.scalar!, rules)
}

function reference(desc: DescMessage, style: SchemaStyle): JsonSchema {
  const { defs } = style
  if (desc.typeName === timestamp) return { type: 'string', format: 'date-time' }
  if (desc.typeName.startsWith('google.protobuf.')) throw new Error(`${desc.typeName}: no JSON Schema for it yet`)
  if (!defs.has(desc.typeName)) {
    defs.set(desc.typeName, {}) // stands here before its fields are looked at: a message may hold itself
    defs.set(desc.typeName, messageSchema(desc, style))
  }
  return { $ref: style.refTo(desc.typeName) }
}

const enumSchema = (desc: DescEnum): JsonSchema => ({ type: 'string', enum: desc.values.map((value) => value.name) })

function scalarSchema(scalar: ScalarType, rules: FieldRules | undefined): JsonSchema {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: 'string', ...stringBounds(rules) }
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' }
    case ScalarType.BOOL:
      return { type: 'boolean' }
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: ['number', 'string'] } // NaN and infinities are written as strings
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return { type: 'string', pattern: '^-?[0-9]{1,19}$' }
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: 'string', pattern: '^[0-9]{1,20}$' }
    default:
      return { type: 'integer', ...numberBounds(rules) }
  }
}

function stringBounds(rules: FieldRules | undefined): JsonSchema {
  if (rules?.type.case !== 'string') return {}
  const it = rules.type.value
  const longest = [it.len, it.maxLen, it.maxBytes, it.lenBytes].filter((length) => length > 0n)
  const shortest = [it.len, it.minLen].filter((length) => length > 0n)
  return {
    ...(it.const === '' ? {} : { const: it.const }),
    ...(it.in.length === 0 ? {} : { enum: it.in }),
    // counted in code points by both; a bound in bytes is one in code points too
    ...(shortest.length === 0 ? {} : { minLength: Number(shortest[0]) }),
    ...(longest.length === 0 ? {} : { maxLength: Number(longest[0]) }),
    ...(it.pattern === '' ? {} : { pattern: it.pattern }),
    ...(it.wellKnown.case === 'uuid' ? { format: 'uuid' } : {}),
  }
}

function numberBounds(rules: FieldRules | undefined): JsonSchema {
  const kind = rules?.type.case
  if (kind !== 'int32' && kind !== 'uint32' && kind !== 'sint32' && kind !== 'fixed32' && kind !== 'sfixed32') return {}
  const { greaterThan: low, lessThan: high } = rules!.type.value as { greaterThan: Bound; lessThan: Bound }
  return {
    ...(low.case === undefined ? {} : { [low.case === 'gt' ? 'exclusiveMinimum' : 'minimum']: low.value }),
    ...(high.case === undefined ? {} : { [high.case === 'lt' ? 'exclusiveMaximum' : 'maximum']: high.value }),
  }
}
type Bound = { case: 'gt' | 'gte' | 'lt' | 'lte' | undefined; value?: number }

const listBounds = (rules: RepeatedRules | undefined): JsonSchema => ({
  ...(rules && rules.minItems > 0n ? { minItems: Number(rules.minItems) } : {}),
  ...(rules && rules.maxItems > 0n ? { maxItems: Number(rules.maxItems) } : {}),
  ...(rules?.unique ? { uniqueItems: true } : {}),
})

const mapBounds = (rules: MapRules | undefined): JsonSchema => ({
  ...(rules && rules.minPairs > 0n ? { minProperties: Number(rules.minPairs) } : {}),
  ...(rules && rules.maxPairs > 0n ? { maxProperties: Number(rules.maxPairs) } : {}),
})
