import { type DescMessage, fromBinary } from '@bufbuild/protobuf'
import { pathToString } from '@bufbuild/protobuf/reflect'
import { createValidator } from '@bufbuild/protovalidate'
import type { Violation } from '../rpc/fault.js'
import { registry } from './descriptors.js'
import { scanWire } from './wire.js'

/** The rules that a message breaks. */
export interface Checked {
  /** In field order: at most 20, and at most 1.5 kB in all. */
  readonly violations: readonly Violation[]
  /** How many there are, before the cut. */
  readonly total: number
  /** Whether the bytes hold what a decoder would read out of them; if not, nobody may act on what they seem to say. */
  readonly decodable: boolean
}

const countMax = 20
const bytesMax = 1500
/** A map's key is the caller's own text, and may be long. */
const pathMax = 120
const descriptionMax = 200

const patterns = new Map<string, RegExp>()

/** Patterns are the contract's own, anchored and without nested repetition, so that V8's engine is linear on them; RE2 in JavaScript costs four times as much. */
function regexMatch(pattern: string, value: string): boolean {
  let compiled = patterns.get(pattern)
  if (!compiled) {
    compiled = new RegExp(pattern, 'u')
    patterns.set(pattern, compiled)
  }
  return compiled.test(value)
}

const validator = createValidator({ registry, regexMatch })
const fine: Checked = { violations: [], total: 0, decodable: true }

/**
 * The check of a message's bytes: form, UTF-8, ranges, and the rules that stand beside the fields. It compiles the rules now, and throws if
 * they make no sense; what it returns never throws over anything that a caller sends.
 */
export function checkerOf(desc: DescMessage): (bytes: Uint8Array) => Checked {
  const rules = (bytes: Uint8Array): Violation[] => {
    const result = validator.validate(desc, fromBinary(desc, bytes))
    if (result.kind === 'valid') return []
    if (result.kind === 'error') throw result.error
    return result.violations.map((it) => ({ field: pathToString(it.field), description: it.message }))
  }
  rules(new Uint8Array())
  return (bytes) => {
    const wire = scanWire(desc, bytes)
    if (!wire.readable) return { violations: cut(wire.violations), total: wire.violations.length, decodable: false }
    const broken = rules(wire.bytes)
    if (broken.length === 0 && wire.violations.length === 0) return fine
    // What is no text at all has no use for a second complaint, about the '?' that stand in its place.
    const others = broken.filter((it) => !wire.violations.some((bad) => it.field.startsWith(bad.field)))
    const all = inFieldOrder(desc, [...wire.violations, ...others])
    return { violations: cut(all), total: all.length, decodable: wire.violations.length === 0 }
  }
}

function inFieldOrder(desc: DescMessage, found: readonly Violation[]): Violation[] {
  const order = new Map(desc.fields.map((field, index) => [field.name, index]))
  // A rule over several fields names none: it comes last.
  const place = (it: Violation) => order.get(/^\w*/.exec(it.field)![0]) ?? order.size
  return found
    .map((it) => ({ it, at: place(it) }))
    .sort((a, b) => a.at - b.at)
    .map(({ it }) => it)
}

function cut(found: readonly Violation[]): Violation[] {
  const kept: Violation[] = []
  let bytes = 0
  for (const { field, description } of found.slice(0, countMax)) {
    const short = { field: shorten(field, pathMax), description: shorten(description, descriptionMax) }
    // Six bytes frame a violation on the wire.
    bytes += Buffer.byteLength(short.field) + Buffer.byteLength(short.description) + 6
    if (bytes > bytesMax) break
    kept.push(short)
  }
  return kept
}

const shorten = (text: string, max: number) => (text.length <= max ? text : `${Buffer.from(text.slice(0, max - 1)).toString()}…`)
