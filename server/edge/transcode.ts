import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  fromJson,
  isFieldSet,
  type Message,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf'
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt'
import type { Violation } from '../rpc/fault.js'
import type { Json, JsonObject } from './json-reader.js'

type Fields = Record<string, unknown>

/** Who is wrong so often is not told each time. */
const violationsMax = 100

/** A message as it is read, and what is wrong with what was sent. */
export class Draft {
  readonly violations: Violation[] = []
  private readonly message: Message & Fields
  private readonly named = new Set<string>()

  constructor(private readonly desc: DescMessage) {
    this.message = create(desc) as Message & Fields
  }

  /** Fields by their proto names, as in the body of a request. */
  json(object: JsonObject): void {
    for (const name of object.keys()) this.named.add(name)
    this.fill(this.desc, this.message, object, '')
  }

  /** The pairs behind the `?`, decoded. A field that holds others, or many, is none of a query's. */
  query(pairs: readonly (readonly [string, string | undefined])[]): void {
    for (const [name, text] of pairs) {
      const field = this.desc.fields.find((it) => it.name === name)
      const single = field && (field.fieldKind === 'scalar' || field.fieldKind === 'enum' || isTime(field))
      if (!single) this.found(name, field ? 'cannot be said in a query' : 'is no field of this request')
      else if (this.named.has(name)) this.found(name, 'is there twice')
      else if (text === undefined) this.found(name, 'has no value')
      else this.set(this.message, field, this.single(field, fromQuery(field, text), name))
      this.named.add(name)
    }
  }

  /** A variable of the path. What body or query say of the same field must be the same. */
  variable(name: string, value: string): void {
    const field = this.desc.fields.find((it) => it.name === name)!
    if (this.named.has(name) && this.message[field.localName] !== value) this.found(name, 'is another in the path')
    this.message[field.localName] = value
  }

  bytes(): Uint8Array {
    return toBinary(this.desc, this.message)
  }

  private fill(desc: DescMessage, target: Fields, object: JsonObject, path: string): void {
    for (const [name, value] of object) {
      const at = path === '' ? name : `${path}.${name}`
      const field = desc.fields.find((it) => it.name === name)
      if (!field) this.found(at, 'is no field of this message')
      else if (field.fieldKind === 'list') this.set(target, field, this.list(field, value, at))
      else if (field.fieldKind === 'map') this.set(target, field, this.map(value, at))
      else this.set(target, field, this.single(field, value, at))
    }
  }

  private set(target: Fields, field: DescField, value: unknown): void {
    if (value === undefined) return
    if (!field.oneof) target[field.localName] = value
    else if ((target[field.oneof.localName] as { case?: string }).case !== undefined)
      this.found(field.name, `stands beside another of ${field.oneof.name}`)
    else target[field.oneof.localName] = { case: field.localName, value }
  }

  private list(field: DescField & { fieldKind: 'list' }, value: Json, at: string): unknown {
    if (!Array.isArray(value)) return this.found(at, 'must be a list')
    return value.map((item, i) => this.single(field, item, `${at}[${i}]`)).filter((it) => it !== undefined)
  }

  private map(value: Json, at: string): unknown {
    if (!(value instanceof Map)) return this.found(at, 'must be an object')
    const wrong = [...value].filter(([, it]) => typeof it !== 'string')
    for (const [key] of wrong) this.found(`${at}[${JSON.stringify(key)}]`, 'must be a string')
    return Object.fromEntries(value)
  }

  private single(field: DescField, value: Json, at: string): unknown {
    if (field.enum) {
      const known = field.enum.values.find((it) => it.name === value || it.number === value)
      return known ? known.number : this.found(at, `must be a name of ${field.enum.typeName}`)
    }
    if (isTime(field)) return this.time(value, at)
    if (field.message) {
      if (!(value instanceof Map)) return this.found(at, 'must be an object')
      const nested = create(field.message) as Message & Fields
      this.fill(field.message, nested, value, at)
      return nested
    }
    if (field.scalar === ScalarType.STRING) return typeof value === 'string' ? value : this.found(at, 'must be a string')
    if (field.scalar === ScalarType.BOOL) return typeof value === 'boolean' ? value : this.found(at, 'must be true or false')
    return this.integer(field.scalar === ScalarType.UINT32 ? [0, 0xffff_ffff] : [-0x8000_0000, 0x7fff_ffff], value, at)
  }

  private integer([least, most]: readonly [number, number], value: Json, at: string): number | undefined {
    const read = typeof value === 'string' && /^-?\d{1,10}$/.test(value) ? Number(value) : value
    const fits = typeof read === 'number' && Number.isInteger(read) && read >= least && read <= most
    return fits ? read : this.found(at, `must be a whole number from ${least} to ${most}`)
  }

  private time(value: Json, at: string): Timestamp | undefined {
    try {
      if (typeof value === 'string') return fromJson(TimestampSchema, value)
    } catch {}
    return this.found(at, 'must be a time by RFC 3339, such as 2026-01-31T08:30:00Z')
  }

  private found(field: string, description: string): undefined {
    if (this.violations.length < violationsMax) this.violations.push({ field, description })
  }
}

const isTime = (field: DescField) => field.message?.typeName === TimestampSchema.typeName

function fromQuery(field: DescField, text: string): Json {
  if (field.scalar === ScalarType.BOOL) return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : text
  return field.enum && /^\d{1,9}$/.test(text) ? Number(text) : text
}

/**
 * The JSON of an answer, as Kong writes it: names as in the proto, lists and maps always, single fields where they are set (plain ones at zero are
 * not), enums by name, times in whole seconds.
 * @throws Error where the bytes are no message of this type
 */
export function answerJson(desc: DescMessage, bytes: Uint8Array): string {
  return JSON.stringify(jsonOf(desc, fromBinary(desc, bytes) as Message & Fields))
}

function jsonOf(desc: DescMessage, message: Message & Fields): object {
  const members = desc.fields.flatMap((field): [string, unknown][] => {
    const value = field.oneof ? (message[field.oneof.localName] as { value?: unknown }).value : message[field.localName]
    if (field.fieldKind === 'list') return [[field.name, (value as unknown[]).map((it) => singleJson(field, it))]]
    if (field.fieldKind === 'map') return [[field.name, value]]
    return isFieldSet(message, field) ? [[field.name, singleJson(field, value)]] : []
  })
  return Object.fromEntries(members)
}

function singleJson(field: DescField, value: unknown): unknown {
  if (field.enum) return field.enum.value[value as number]?.name ?? value
  if (isTime(field)) return `${new Date(Number((value as Timestamp).seconds) * 1000).toISOString().slice(0, 19)}Z`
  return field.message ? jsonOf(field.message, value as Message & Fields) : value
}
