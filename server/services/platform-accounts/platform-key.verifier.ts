import type { Pool } from '../../db/pool.js'
import { hashSecret, parseSecret, sameHash } from '../../keys/secret.js'
import type { Verifier } from '../../rpc/authenticate.layer.js'
import type { Principal } from '../../rpc/call.js'
import { findBootstrapKey, findPlatformKey, type PlatformKey } from './platform-accounts.repo.js'

/** What was read of a key is trusted for this long; every transaction reads the rights anew all the same. */
const trustedForMs = 1000
const rememberedMax = 10_000

interface Remembered {
  readonly key: Promise<PlatformKey | undefined>
  readonly until: number
}

/**
 * Recognises platform keys: the first one by its hash, all others by their locator. A key with a wrong check costs no query.
 * Rejects where the database cannot be asked: nobody is let in then.
 */
export function platformKeyVerifier(pool: Pool, clockShift: () => string): Verifier {
  const remembered = new Map<string, Remembered>()
  const remember = (id: string, find: () => Promise<PlatformKey | undefined>): Promise<PlatformKey | undefined> => {
    const now = performance.now()
    const known = remembered.get(id)
    if (known && known.until > now) return known.key
    if (remembered.size >= rememberedMax) remembered.clear()
    const key = find()
    remembered.set(id, { key, until: now + trustedForMs })
    key.catch(() => remembered.delete(id))
    return key
  }
  /** Of tokens that were right once: each is hashed once. What they may do is not remembered here. */
  const hashes = new Map<string, Buffer>()
  const accepted = (key: PlatformKey | undefined, token: string, hash: Buffer): Principal | undefined => {
    if (!key?.valid || !sameHash(key.secret_hash, hash)) return undefined
    if (hashes.size >= rememberedMax) hashes.clear()
    hashes.set(token, hash)
    return { id: key.account_id, type: 'platform-service-account', keyId: key.id, tenantId: '', scopes: key.scopes }
  }
  return {
    prefix: 'ck_',
    async verify(token) {
      const hash = hashes.get(token) ?? hashSecret(token)
      const first = accepted(await remember('first', () => findBootstrapKey(pool, clockShift())), token, hash)
      if (first) return first
      const locator = parseSecret(token)
      if (locator?.kind !== 'ck' || locator.tenantId !== '') return undefined
      const keyId = `pky_${locator.rowSuffix}`
      return accepted(await remember(keyId, () => findPlatformKey(pool, keyId, clockShift())), token, hash)
    },
  }
}
