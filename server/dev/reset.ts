import { existsSync } from 'node:fs'
import { lstat, readdir, readFile, realpath, rm, rmdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stopPostgres } from './postgres.js'
import { readCluster } from './postgres-cluster.js'
import { findElsewhere, findPlace, markerName } from './postgres-place.js'
import { DataDirInUse, findRunning, tryLock } from './postgres-running.js'

/** All that this service ever makes in DATA_DIR, by exact name. A wrong DATA_DIR (`/etc`, a home) must lose nothing. */
const ownNames = /^((bootstrap-key|key-encryption-keys)(\.\d+\.[0-9a-f]{8})?|postgres-elsewhere(\.\d+)?|postgres\.\d+\.[0-9a-f]{8})$/

/**
 * Removes the database below DATA_DIR, with the folder of /var/tmp that belongs to it, entry by entry; DATA_DIR itself goes only if
 * nothing else is in it. A database that a killed server left running is stopped first. No symbolic link is followed.
 * @returns what was removed.
 * @throws DataDirInUse while a server holds it; another error, having removed nothing, if DATA_DIR isn't one of this service's.
 */
export async function removeDataDir(dataDirAsGiven: string): Promise<string[]> {
  const found = await lstat(dataDirAsGiven).catch(() => undefined)
  if (!found) return []
  const refuse = (why: string) => new Error(`${dataDirAsGiven} ${why}: nothing was removed`)
  if (found.isSymbolicLink()) throw refuse('is a symbolic link')
  if (!found.isDirectory()) throw refuse('is no folder')
  const dataDir = await realpath(dataDirAsGiven)
  const inhabitant = await whoLivesIn(dataDir)
  if (inhabitant) throw refuse(`holds ${inhabitant}`)
  const own = join(dataDir, 'postgres')
  const made = await isOurDatabase(own)
  if (!made && (await exists(own))) throw refuse('holds a `postgres` that this service, as this user, did not make')
  const marked = await isOurMarker(join(dataDir, markerName))
  if (!made && !marked) throw refuse('holds no database of this service')
  const elsewhere = marked ? await findElsewhere(dataDir) : undefined
  if (elsewhere && (await exists(elsewhere)) && !(await isOurElsewhere(elsewhere)))
    throw refuse(`belongs to ${elsewhere}, which is not ours`)
  await stopOrphan(dataDir, elsewhere ?? dataDir)
  const doomed = (await readdir(dataDir)).filter((name) => ownNames.test(name)).map((name) => join(dataDir, name))
  if (made) doomed.unshift(own)
  if (elsewhere && (await exists(elsewhere))) doomed.unshift(elsewhere)
  for (const path of doomed) await rm(path, { recursive: true, force: true, maxRetries: 10 })
  // rmdir refuses a folder that holds anything else, which is what we want
  await rmdir(dataDir).then(
    () => doomed.push(dataDir),
    () => {},
  )
  return doomed
}

/** What nobody keeps in a DATA_DIR of his own; also what `/` and everything above a home or a checkout holds. */
async function whoLivesIn(dataDir: string): Promise<string | undefined> {
  const inhabitants = { 'your home': homedir(), 'your working directory': process.cwd(), 'this program': fileURLToPath(import.meta.url) }
  for (const [name, path] of Object.entries(inhabitants)) {
    const way = relative(dataDir, await realpath(path).catch(() => path))
    if (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)) return name
  }
  return undefined
}

/** By what only `makeCluster` puts together, as this user: a folder that merely bears the name is not ours to remove. */
async function isOurDatabase(folder: string): Promise<boolean> {
  if (!(await isOwn(folder, 'folder')) || !(await isOwn(join(folder, 'passwords.json'), 'file'))) return false
  const there = await Promise.all(['port', 'data/PG_VERSION'].map((name) => exists(join(folder, name))))
  if (there.includes(false)) return false
  const passwords: unknown = await readFile(join(folder, 'passwords.json'), 'utf8')
    .then(JSON.parse)
    .catch(() => undefined)
  return typeof passwords === 'object' && passwords !== null && 'superuser' in passwords && 'retention' in passwords
}

async function isOurMarker(file: string): Promise<boolean> {
  return (await isOwn(file, 'file')) && /^[\w-]{12}$/.test(await readFile(file, 'utf8'))
}

/** /var/tmp is everybody's, and this is root: as strict as the start was when it made the folder. */
async function isOurElsewhere(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => ['?'])
  return (await isOwn(folder, 'folder')) && names.every((name) => /^(postgres|native)([.-]|$)/.test(name))
}

/** Of this user, not a link, and not writable by others. */
async function isOwn(path: string, kind: 'file' | 'folder'): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  if (!found || !(kind === 'file' ? found.isFile() : found.isDirectory())) return false
  return !process.getuid || (found.uid === process.getuid() && (found.mode & 0o022) === 0)
}

/** Links count, whatever they point to. */
async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
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
