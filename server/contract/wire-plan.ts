import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { WireType } from '@bufbuild/protobuf/wire'
import { rulesOf } from './json-schema.js'

/** How a field stands on the wire. */
export interface Field {
  readonly desc: DescField
  readonly wireType: WireType
  /** A repeated number, which may come packed. */
  readonly packed: boolean
  /** A message that may come once. */
  readonly once: boolean
  readonly isString: boolean
  readonly fits: ((low: number, high: number) => boolean) | undefined
  readonly child: DescMessage | undefined
  /** More than so many elements are not looked at: who sends them by the hundred thousand would have us look at each. */
  readonly countMax: number
}
export type Fields = ReadonlyMap<number, Field>

/** Beyond what its rule allows: so far each element is told of by itself. */
const countSlack = 100

function countMaxOf(field: DescField): number {
  const rules = rulesOf(field)?.type
  const most = rules?.case === 'repeated' ? rules.value.maxItems : rules?.case === 'map' ? rules.value.maxPairs : 0n
  return most > 0n ? Number(most) + countSlack : Number.POSITIVE_INFINITY
}

const signed32 = (low: number, high: number) => high === low >> 31
const unsigned32 = (_low: number, high: number) => high === 0
const bool = (low: number, high: number) => high === 0 && (low === 0 || low === 1)

function wireTypeOf(scalar: ScalarType): WireType {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.LengthDelimited
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WireType.Bit64
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WireType.Bit32
    default:
      return WireType.Varint
  }
}

function fitsOf(scalar: ScalarType | undefined): Field['fits'] {
  if (scalar === ScalarType.INT32) return signed32
  if (scalar === ScalarType.UINT32 || scalar === ScalarType.SINT32) return unsigned32
  return scalar === ScalarType.BOOL ? bool : undefined
}

const plans = new Map<DescMessage, Fields>()

export function planOf(message: DescMessage): Fields {
  const known = plans.get(message)
  if (known) return known
  const plan = new Map(message.fields.map((field) => [field.number, planField(field)]))
  plans.set(message, plan)
  return plan
}

function planField(desc: DescField): Field {
  const list = desc.fieldKind === 'list'
  if (desc.fieldKind === 'map' || desc.message) {
    // A map's entry is looked at by `entry`, which knows its two fields.
    const once = desc.fieldKind === 'message'
    return {
      desc,
      wireType: WireType.LengthDelimited,
      packed: false,
      once,
      isString: false,
      fits: undefined,
      child: desc.message,
      countMax: countMaxOf(desc),
    }
  }
  const scalar = desc.enum ? ScalarType.INT32 : desc.scalar!
  const wireType = wireTypeOf(scalar)
  const packed = list && wireType !== WireType.LengthDelimited
  return {
    desc,
    wireType,
    packed,
    once: false,
    isString: scalar === ScalarType.STRING,
    fits: fitsOf(scalar),
    child: undefined,
    countMax: countMaxOf(desc),
  }
}

const entryFields = new Map<DescField, Fields>()

/** The key and value of a map's entry, as if they were fields of a message. */
export function entryPlan(map: DescField & { fieldKind: 'map' }): Fields {
  const known = entryFields.get(map)
  if (known) return known
  const part = (scalar: ScalarType, child?: DescMessage): Field => {
    const wireType = child ? WireType.LengthDelimited : wireTypeOf(scalar)
    return {
      desc: map,
      wireType,
      packed: false,
      once: true,
      isString: !child && scalar === ScalarType.STRING,
      fits: fitsOf(scalar),
      child,
      countMax: Number.POSITIVE_INFINITY,
    }
  }
  const plan = new Map([
    [1, part(map.mapKey)],
    [2, part(map.enum ? ScalarType.INT32 : (map.scalar ?? ScalarType.BYTES), map.message)],
  ])
  entryFields.set(map, plan)
  return plan
}
