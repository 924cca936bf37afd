import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import type { Ring } from './ring.js'

/**
 * What a sealed text is for and where it belongs: it opens under the same label alone. `place` names tenant, column and row, or whatever
 * else must not be exchanged: so nothing sealed for one row opens in another.
 */
export interface SealLabel {
  /** A key of its own, by HKDF. */
  readonly purpose: string
  readonly place: readonly string[]
}

const version = 'v1'
const nonceBytes = 24
const tagBytes = 16

/** AES-256-GCM under the ring's active key: `v1.<key id>.<base64url of nonce, ciphertext, tag>`, 64 characters and the id longer than a third more. */
export function seal(ring: Ring, label: SealLabel, plain: Uint8Array): string {
  const id = ring.activeId
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', messageKey(ring.derive(label.purpose, id)!, nonce), nonce.subarray(12), {
    authTagLength: tagBytes,
  })
  cipher.setAAD(additionalData(label, id))
  const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return `${version}.${id}.${sealed.toString('base64url')}`
}

/** What was sealed; undefined for anything else: changed, cut, moved to another label, of a key that the ring has no more. Never throws. */
export function unseal(ring: Ring, label: SealLabel, text: string): Buffer | undefined {
  const [foundVersion, id = '', body = '', ...rest] = text.split('.')
  if (foundVersion !== version || rest.length > 0) return undefined
  const key = ring.derive(label.purpose, id)
  const sealed = Buffer.from(body, 'base64url')
  // base64 has several spellings of the same bytes; one text, one meaning
  if (!key || sealed.length < nonceBytes + tagBytes || sealed.toString('base64url') !== body) return undefined
  const nonce = sealed.subarray(0, nonceBytes)
  const decipher = createDecipheriv('aes-256-gcm', messageKey(key, nonce), nonce.subarray(12), { authTagLength: tagBytes })
  decipher.setAAD(additionalData(label, id))
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()])
  } catch {
    return undefined
  }
}

/**
 * Half of the nonce chooses a key, the other half is GCM's own: 96 random bits alone would be at risk of a repeat after 2^32 messages,
 * which is two months of page tokens at a thousand a second.
 */
function messageKey(key: Uint8Array, nonce: Buffer): Buffer {
  return createHmac('sha256', key).update(nonce.subarray(0, 12)).digest()
}

function additionalData({ purpose, place }: SealLabel, id: string): Buffer {
  return Buffer.from(JSON.stringify([version, id, purpose, ...place]))
}
