import { openPool, type PoolOptions } from '../../db/pool.js'
import { checkVersions } from '../../db/versions.js'
import { keyRow, makePlatformKey } from './first-key.rules.js'
import { insertRecoveredKey } from './platform-accounts.repo.js'
import { knownPermissions } from './platform-accounts.rules.js'

const goodForDays = 90

/**
 * Makes another platform key, for whoever has the database's login: of an account of its own, with every permission by name, good for 90 days.
 * It stands in the platform's trail, and touches no other key.
 * @returns the key, this once
 */
export async function recoverPlatformKey(options: Omit<PoolOptions, 'max'>, actor: string): Promise<string> {
  const pool = openPool({ ...options, max: 1 })
  try {
    await checkVersions(pool)
    const key = makePlatformKey()
    const scopes = knownPermissions()
    await insertRecoveredKey(pool, { ...keyRow(key, 'platform-api-key.recover', actor), scopes, goodForDays })
    return key
  } finally {
    await pool.end()
  }
}
