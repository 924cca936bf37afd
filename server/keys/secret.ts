import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { encodeBase32 } from './base32.js'
import { idSuffix } from './ids.js'

/** API key, refresh token, invitation, reset, verification. */
export type SecretKind = 'ck' | 'rt' | 'inv' | 'rst' | 'vrf'

/** Where a secret's row is. Public: it authenticates nobody. */
export interface SecretLocator {
  readonly kind: SecretKind
  /** '' for the platform's own. */
  readonly tenantId: string
  /** The row's id without its prefix. */
  readonly rowSuffix: string
}

/** Digits that stand for 16, 32 and 4 bytes: their first can't be greater, since the leading bits are 0. */
const digit = '[0-9a-hjkmnp-tv-z]'
const form = new RegExp(`^(ck|rt|inv|rst|vrf)_(p|[0-7]${digit}{25})_([0-7]${digit}{25})_[01]${digit}{51}_([0-3]${digit}{6})$`)

/**
 * A new secret, `<kind>_<tenant part>_<row id>_<32 random bytes>_<check>`: shown once, kept as `hashSecret` of it.
 * @param tenantId '' for the platform's own, whose tenant part is `p`
 */
export function makeSecret(kind: SecretKind, tenantId: string, rowId: string, random: Uint8Array = randomBytes(32)): string {
  if (random.length !== 32) throw new Error('a secret needs 32 random bytes')
  const body = `${kind}_${tenantId === '' ? 'p' : idSuffix(tenantId)}_${idSuffix(rowId)}_${encodeBase32(random)}`
  const secret = `${body}_${check(body)}`
  if (!form.test(secret)) throw new Error('tenant or row of a secret is no id')
  return secret
}

/** Where to look for it; undefined for whatever cannot be one of ours, which so costs no query. It proves nothing yet: compare the hash. */
export function parseSecret(text: string): SecretLocator | undefined {
  const match = form.exec(text)
  if (!match) return undefined
  const [, kind, tenant, rowSuffix, found] = match
  if (check(text.slice(0, text.lastIndexOf('_'))) !== found) return undefined
  return { kind: kind as SecretKind, tenantId: tenant === 'p' ? '' : `tnt_${tenant}`, rowSuffix: rowSuffix! }
}

/** SHA-256 over the whole secret; 256 random bits need no slower hash. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** Compares two hashes in a time that tells nothing about where they differ. */
export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function check(body: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(body))
  return encodeBase32(bytes)
}
