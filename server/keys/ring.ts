import { createHash, hkdfSync, randomBytes } from 'node:crypto'

/** One 32-byte key of KEY_ENCRYPTION_KEYS. Its id stands in clear in whatever it sealed. */
export interface RingKey {
  readonly id: string
  readonly bytes: Uint8Array
}

/** All keys that this server knows: the first seals, every one opens what it sealed. The keys themselves are never used, only what HKDF makes of them. */
export interface Ring {
  readonly activeId: string
  /** 32 bytes for one purpose, from the key with this id; undefined: the ring has no such key (any more). */
  derive(purpose: string, id: string): Uint8Array | undefined
}

/**
 * Reads `key,key…` with `key` = `<base64 of 32 bytes>` or `<id>:<base64>`; without an id, one is made from the key's hash.
 * @throws Error that tells what is wrong and never shows a key.
 */
export function parseRingKeys(text: string): RingKey[] {
  const keys = text.split(',').map((part, index) => parseRingKey(part.trim(), index + 1))
  const ids = new Set(keys.map((key) => key.id))
  if (ids.size < keys.length) throw new Error('two keys have the same id, or are the same key')
  return keys
}

export function openRing(keys: readonly RingKey[]): Ring {
  const active = keys[0]
  if (!active) throw new Error('a key ring needs a key')
  const byId = new Map(keys.map((key) => [key.id, key.bytes]))
  const derived = new Map<string, Uint8Array>()
  return {
    activeId: active.id,
    derive(purpose, id) {
      const bytes = byId.get(id)
      if (!bytes) return undefined
      const name = `${id} ${purpose}`
      let key = derived.get(name)
      if (!key) {
        key = new Uint8Array(hkdfSync('sha256', bytes, '', `customer-management/${purpose}`, 32))
        derived.set(name, key)
      }
      return key
    },
  }
}

/**
 * What makes a key look chosen by a person instead of drawn at random; undefined where nothing does.
 * Of 32 random bytes, fewer than 17 distinct ones, or printable ones alone, come up less than once in 10^13.
 */
export function weaknessOfKey({ bytes }: RingKey): string | undefined {
  if (new Set(bytes).size < 17) return 'repeats itself'
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'is text, not random bytes'
  const step = (bytes[1]! - bytes[0]!) & 0xff
  if (bytes.every((byte, i) => i === 0 || ((byte - bytes[i - 1]!) & 0xff) === step)) return 'counts up or down'
  return undefined
}

function parseRingKey(text: string, position: number): RingKey {
  const match = /^(?:([a-z0-9-]{1,32}):)?([A-Za-z0-9+/]{43}=)$/.exec(text)
  const bytes = match ? Buffer.from(match[2]!, 'base64') : undefined
  if (!match || !bytes || bytes.toString('base64') !== match[2]) {
    throw new Error(`key ${position} is not the base64 of 32 bytes, with an id of [a-z0-9-] and a colon before it or not`)
  }
  return { id: match[1] ?? createHash('sha256').update('key id').update(bytes).digest('hex').slice(0, 8), bytes }
}

/** A new key, in the form of KEY_ENCRYPTION_KEYS. */
export const makeRingKey = (): string => randomBytes(32).toString('base64')
