/** What JSON can say. An object is a Map, so that no name of a caller's means anything to JavaScript. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject
export type JsonObject = ReadonlyMap<string, Json>

/** Why a text is no JSON that is taken here, and at which character. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

const depthMax = 64
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** Control characters within are refused by JSON.parse, which reads the token. */
const string = /"(?:[^"\\]|\\.)*"/sy
/** Without the letter u a pair is two signs; with it, one: what is left are halves. */
const halfPair = /\p{Surrogate}/u
const space = /[ \t\r\n]*/y
const literals = new Map<string, Json>([
  ['true', true],
  ['false', false],
  ['null', null],
])

/**
 * Reads JSON to the letter (RFC 8259, in UTF-8), and refuses what parsers read in different ways: a name twice in an object, half a surrogate
 * pair; and more than 64 levels.
 * @throws JsonError
 */
export function readJson(bytes: Uint8Array): Json {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new JsonError('the body is not UTF-8')
  }
  const reader = new Reader(text)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  private at = 0
  constructor(private readonly text: string) {}

  value(depth: number): Json {
    this.skip()
    const next = this.text[this.at]
    if (next === '{' || next === '[') {
      if (depth === depthMax) throw this.error(`more than ${depthMax} levels`)
      this.at++
      return next === '{' ? this.object(depth + 1) : this.array(depth + 1)
    }
    if (next === '"') return this.string()
    for (const [word, value] of literals) {
      if (!this.text.startsWith(word, this.at)) continue
      this.at += word.length
      return value
    }
    return Number(this.match(number, 'a value'))
  }

  end(): void {
    this.skip()
    if (this.at < this.text.length) throw this.error('the end was expected')
  }

  private object(depth: number): JsonObject {
    const members = new Map<string, Json>()
    for (let more = !this.took('}'); more; more = this.goesOn('}')) {
      this.skip()
      const name = this.string()
      if (members.has(name)) throw this.error(`${JSON.stringify(name.slice(0, 64))} is there twice`)
      if (!this.took(':')) throw this.error("':' was expected")
      members.set(name, this.value(depth))
    }
    return members
  }

  private array(depth: number): Json[] {
    const items: Json[] = []
    for (let more = !this.took(']'); more; more = this.goesOn(']')) items.push(this.value(depth))
    return items
  }

  private string(): string {
    const token = this.match(string, 'a string')
    let value: string
    try {
      value = JSON.parse(token) as string
    } catch {
      throw this.error('a control character, or an escape sequence that is none')
    }
    if (halfPair.test(value)) throw this.error('half a surrogate pair')
    return value
  }

  private goesOn(close: string): boolean {
    if (this.took(',')) return true
    if (this.took(close)) return false
    throw this.error(`',' or '${close}' was expected`)
  }

  private took(sign: string): boolean {
    this.skip()
    if (this.text[this.at] !== sign) return false
    this.at++
    return true
  }

  private skip(): void {
    space.lastIndex = this.at
    space.exec(this.text)
    this.at = space.lastIndex
  }

  private match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.at
    const [token] = pattern.exec(this.text) ?? []
    if (!token) throw this.error(`${what} was expected`)
    this.at += token.length
    return token
  }

  private error(what: string): JsonError {
    return new JsonError(`${what}, at character ${this.at + 1} of the body`)
  }
}
