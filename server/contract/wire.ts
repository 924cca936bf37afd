import { isUtf8 } from 'node:buffer'
import { type DescField, type DescMessage, fromBinary, ScalarType } from '@bufbuild/protobuf'
import { WireType } from '@bufbuild/protobuf/wire'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import type { Violation } from '../rpc/fault.js'
import { entryPlan, type Field, type Fields, planOf } from './wire-plan.js'

/**
 * A strict reading of a message's bytes, before any decoder sees them. Decoders forgive: ts-proto lets wrong UTF-8 and NUL pass, skips a field
 * of the wrong wire type and ends at a stray group tag; protobuf-es reads it as if it were right, and merges a message that comes twice. What
 * passes here means the same to both, and keeps its meaning.
 */
export interface Wire {
  /** In the order of the bytes; any of them means that decoders may differ. */
  readonly violations: readonly Violation[]
  /** false: the bytes are no message of this type, nothing else can be said of them. */
  readonly readable: boolean
  /** The bytes, with '?' where a string was none: for whoever looks for further violations. */
  readonly bytes: Uint8Array
}

/** What can be stored and shown everywhere: the years 1 to 9999. */
const firstSecond = -62135596800n
const lastSecond = 253402300799n

const violationsMax = 200

class Malformed extends Error {
  constructor(readonly violation?: Violation) {
    super()
  }
}

class Scan {
  readonly violations: Violation[] = []
  private pos = 0
  private low = 0
  private high = 0

  constructor(public bytes: Uint8Array) {}

  message(fields: Fields, end: number, path: string, depth: number, inEntry = false): void {
    if (depth > 100) throw new Malformed()
    let seen: Set<Field> | undefined
    let index: Map<Field, number> | undefined
    while (this.pos < end) {
      this.varint(end)
      const number = this.low >>> 3
      const wireType = this.low & 7
      if (this.high !== 0 || number === 0) throw new Malformed()
      const field = fields.get(number)
      if (!field) {
        this.skip(wireType, end)
        continue
      }
      let at = inEntry ? path : path === '' ? field.desc.name : `${path}.${field.desc.name}`
      if (!inEntry && (field.desc.fieldKind === 'list' || field.desc.fieldKind === 'map')) {
        index ??= new Map()
        const i = index.get(field) ?? 0
        if (i === field.countMax) throw new Malformed({ field: at, description: `has more than ${i} elements` })
        index.set(field, i + 1)
        if (field.desc.fieldKind === 'list') at = `${at}[${i}]`
      }
      if (field.once) {
        seen ??= new Set()
        if (seen.has(field)) this.found(at, 'is there twice')
        seen.add(field)
      }
      if (wireType === field.wireType) this.value(field, end, at, depth, inEntry)
      else if (wireType === WireType.LengthDelimited && field.packed) this.packedValues(field, end, at)
      else throw new Malformed({ field: at, description: 'has the wrong wire type' })
    }
  }

  private found(field: string, description: string) {
    if (this.violations.length === violationsMax) throw new Malformed({ field: '', description: 'has too much that is wrong' })
    this.violations.push({ field, description })
  }

  private value(field: Field, end: number, at: string, depth: number, inEntry: boolean) {
    if (field.wireType === WireType.Varint) this.number(field, end, at)
    else if (field.wireType !== WireType.LengthDelimited) this.skip(field.wireType, end)
    else {
      const stop = this.length(end)
      const start = this.pos
      if (field.isString) this.text(start, stop, at)
      else if (!inEntry && field.desc.fieldKind === 'map') this.entry(field.desc, stop, at, depth)
      else if (field.child) {
        this.message(planOf(field.child), stop, at, depth + 1)
        if (field.child.typeName === TimestampSchema.typeName) this.timestamp(start, stop, at)
      }
      this.pos = stop
    }
  }

  private entry(map: DescField & { fieldKind: 'map' }, stop: number, at: string, depth: number) {
    const name = map.mapKey === ScalarType.STRING ? this.keyAt(this.pos) : ''
    this.message(entryPlan(map), stop, name === '' ? at : `${at}[${JSON.stringify(name)}]`, depth + 1, true)
  }

  /** The key of the entry that begins there, for paths; '' if it is no string, or not the short first field that it is with everybody. */
  private keyAt(start: number): string {
    const length = this.bytes[start + 1] ?? 255
    const key = this.bytes.subarray(start + 2, start + 2 + length)
    return this.bytes[start] === 10 && length < 128 && isUtf8(key) && !key.includes(0) ? Buffer.from(key).toString() : ''
  }

  private number(field: Field, end: number, at: string) {
    this.varint(end)
    if (field.fits && !field.fits(this.low, this.high)) this.found(at, 'is out of range')
  }

  private packedValues(field: Field, end: number, at: string) {
    const stop = this.length(end)
    while (this.pos < stop) {
      if (field.wireType === WireType.Varint) this.number(field, stop, at)
      else this.skip(field.wireType, stop)
    }
  }

  private text(start: number, stop: number, at: string) {
    const text = this.bytes.subarray(start, stop)
    const wrong = !isUtf8(text) ? 'is not valid UTF-8' : text.includes(0) ? 'holds a NUL' : ''
    if (wrong === '') return
    this.found(at, wrong)
    if (this.violations.length === 1) this.bytes = Uint8Array.from(this.bytes)
    this.bytes.fill(0x3f, start, stop)
  }

  private timestamp(start: number, stop: number, at: string) {
    const { seconds, nanos } = fromBinary(TimestampSchema, this.bytes.subarray(start, stop))
    const fits = seconds >= firstSecond && seconds <= lastSecond && nanos >= 0 && nanos < 1e9
    if (!fits) this.found(at, 'is no time of the years 1 to 9999')
  }

  private length(end: number): number {
    this.varint(end)
    const stop = this.pos + (this.low >>> 0)
    if (this.high !== 0 || stop > end) throw new Malformed()
    return stop
  }

  private varint(end: number) {
    let low = 0
    let high = 0
    for (let i = 0; i < 10; i++) {
      if (this.pos >= end) throw new Malformed()
      const byte = this.bytes[this.pos++]!
      const bits = byte & 0x7f
      if (i < 4) low |= bits << (7 * i)
      else if (i === 4) {
        low |= bits << 28
        high = bits >> 4
      } else high |= bits << (7 * i - 32)
      if (byte < 0x80) {
        if (i === 9 && bits > 1) throw new Malformed()
        this.low = low
        this.high = high
        return
      }
    }
    throw new Malformed()
  }

  /** Groups are refused: nobody of ours writes them, and decoders differ about them. */
  private skip(wireType: number, end: number) {
    if (wireType === WireType.Varint) this.varint(end)
    else if (wireType === WireType.LengthDelimited) this.pos = this.length(end)
    else if (wireType === WireType.Bit64) this.pos += 8
    else if (wireType === WireType.Bit32) this.pos += 4
    else throw new Malformed()
    if (this.pos > end) throw new Malformed()
  }
}

/** Reads a message's bytes strictly. Never throws. */
export function scanWire(desc: DescMessage, bytes: Uint8Array): Wire {
  const scan = new Scan(bytes)
  try {
    scan.message(planOf(desc), bytes.length, '', 1)
    return { violations: scan.violations, readable: true, bytes: scan.bytes }
  } catch (err) {
    if (!(err instanceof Malformed)) throw err
    const violation = err.violation ?? { field: '', description: `the bytes are no ${desc.typeName}` }
    return { violations: [...scan.violations, violation], readable: false, bytes }
  }
}
