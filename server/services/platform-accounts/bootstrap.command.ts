import type { Pool } from '../../db/pool.js'
import { sameHash } from '../../keys/secret.js'
import type { Log } from '../../telemetry/log.js'
import { keyRow } from './first-key.rules.js'
import { insertFirstKey } from './platform-accounts.repo.js'

/**
 * Makes the first platform key, once ever. A configured key that differs from it counts for nothing, and revives nothing.
 * @returns whether the configured key is the first one, and good
 */
export async function ensureFirstKey(pool: Pool, key: string, log: Log): Promise<boolean> {
  const row = keyRow(key, 'platform-api-key.bootstrap', 'start')
  const first = await insertFirstKey(pool, row)
  const same = sameHash(first.secretHash, row.secretHash)
  if (!same)
    log.warn(
      {},
      'another first key was made before: the one of BOOTSTRAP_API_KEY or DATA_DIR counts for nothing; `recover-platform-key` makes another',
    )
  else if (first.revoked) log.warn({}, 'the first key was revoked, and stays so; `recover-platform-key` makes another')
  return same && !first.revoked
}
