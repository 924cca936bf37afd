import { existsSync } from 'node:fs'
import { readdir, realpath, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { stopPostgres } from './postgres.js'
import { readCluster } from './postgres-cluster.js'
import { findElsewhere, findPlace } from './postgres-place.js'
import { DataDirInUse, findRunning, tryLock } from './postgres-running.js'

/** All that this service ever makes in DATA_DIR, by exact name. A wrong DATA_DIR (`/etc`, a home) must lose nothing. */
const ownNames = /^(bootstrap-key|postgres-elsewhere(\.\d+)?|postgres\.\d+\.[0-9a-f]{8})$/

/**
 * Removes the database below DATA_DIR, with the folder of /var/tmp that belongs to it, entry by entry; DATA_DIR itself goes only if
 * nothing else is in it. A database that a killed server left running is stopped first.
 * @returns what was removed.
 * @throws DataDirInUse while a server holds it.
 */
export async function removeDataDir(dataDirAsGiven: string): Promise<string[]> {
  if (!existsSync(dataDirAsGiven)) return []
  const dataDir = await realpath(dataDirAsGiven)
  const elsewhere = await findElsewhere(dataDir)
  const own = join(dataDir, 'postgres')
  const made = isOurDatabase(own)
  if (!made && !elsewhere) throw new Error(`${dataDir} holds no database of this service: nothing was removed`)
  await stopOrphan(dataDir, elsewhere ?? dataDir)
  const doomed = (await readdir(dataDir)).filter((name) => ownNames.test(name)).map((name) => join(dataDir, name))
  if (made) doomed.unshift(own)
  if (elsewhere && existsSync(elsewhere)) doomed.unshift(elsewhere)
  for (const path of doomed) await rm(path, { recursive: true, force: true, maxRetries: 10 })
  // rmdir refuses a folder that holds anything else, which is what we want
  await rmdir(dataDir).then(
    () => doomed.push(dataDir),
    () => {},
  )
  return doomed
}

/** By what only `makeCluster` puts together: a folder that merely bears the name is not ours to remove. */
function isOurDatabase(folder: string): boolean {
  return ['passwords.json', 'port', 'data/PG_VERSION'].every((name) => existsSync(join(folder, name)))
}

async function stopOrphan(dataDir: string, home: string): Promise<void> {
  if (!existsSync(join(home, 'postgres', 'data', 'postmaster.pid'))) return
  const cluster = await readCluster(home)
  const running = await findRunning(cluster)
  if (!running) return
  const held = await tryLock(running.connection)
  try {
    if (!held) throw new DataDirInUse(cluster.data)
    await stopPostgres(await findPlace(dataDir), cluster)
  } finally {
    await running.connection.end().catch(() => {})
  }
}
