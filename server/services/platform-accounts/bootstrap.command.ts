import type { Pool } from '../../db/pool.js'
import { sameHash } from '../../keys/secret.js'
import type { Log } from '../../telemetry/log.js'
import { keyRow } from './first-key.rules.js'
import { insertFirstKey } from './platform-accounts.repo.js'

/** Makes the first platform key, once ever. A configured key that differs from it counts for nothing, and revives nothing. */
export async function ensureFirstKey(pool: Pool, key: string, log: Log): Promise<void> {
  const row = keyRow(key, 'platform-api-key.bootstrap', 'start')
  const hash = await insertFirstKey(pool, row)
  if (!sameHash(hash, row.secretHash)) log.warn({}, 'another first key was made before: the one that is configured is ignored')
}
