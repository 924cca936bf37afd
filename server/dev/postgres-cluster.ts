import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { removeStaleDrafts, withDraft } from './drafts.js'
import { freePort } from './free-port.js'
import type { Place } from './postgres-place.js'

export const superuser = 'postgres'

/** One password per login; `superuser` is PostgreSQL's own. */
export interface Passwords {
  superuser: string
  app: string
  migrator: string
  relay: string
  retention: string
}

/** A finished database on disk, running or not. */
export interface Cluster {
  /** PostgreSQL's data directory, as `show data_directory` names it. */
  data: string
  log: string
  passwords: Passwords
  /** The port of its last start. */
  port: number
}

/** Makes the database unless it is there; true if it was made here. Of several first starts one wins, and all others use its. */
export async function makeCluster(place: Place, { fsync }: { fsync: boolean }): Promise<boolean> {
  const target = join(place.home, 'postgres')
  if (existsSync(target)) {
    await removeStaleDrafts(place.home, 'postgres')
    return false
  }
  let made = true
  await withDraft(place.home, 'postgres', async (draft) => {
    await fillDraft(place, draft, fsync)
    await rename(draft, target).catch((err) => {
      if (!existsSync(target)) throw err
      made = false
    })
  })
  return made
}

export async function readCluster(home: string): Promise<Cluster> {
  const folder = join(home, 'postgres')
  try {
    return {
      data: join(folder, 'data'),
      log: join(folder, 'log'),
      passwords: JSON.parse(await readFile(join(folder, 'passwords.json'), 'utf8')) as Passwords,
      port: Number(await readFile(join(folder, 'port'), 'utf8')),
    }
  } catch (err) {
    throw new Error(`${folder} is not a whole database: move it away, or set another DATA_DIR`, { cause: err })
  }
}

export async function writePort(cluster: Cluster, port: number): Promise<void> {
  const file = join(cluster.data, '..', 'port')
  await writeFile(`${file}.${process.pid}`, String(port))
  await rename(`${file}.${process.pid}`, file)
}

async function fillDraft(place: Place, draft: string, fsync: boolean): Promise<void> {
  await mkdir(draft)
  // others may pass through, to `data` and `log`, and read nothing
  await chmod(draft, 0o711)
  const password = () => randomBytes(24).toString('base64url')
  const passwords: Passwords = { superuser: password(), app: password(), migrator: password(), relay: password(), retention: password() }
  await writeFile(join(draft, 'passwords.json'), `${JSON.stringify(passwords, null, 2)}\n`, { mode: 0o600 })
  await writeFile(join(draft, 'port'), String(await freePort()))
  const [data, log, passwordFile] = [join(draft, 'data'), join(draft, 'log'), join(draft, 'superuser')]
  await mkdir(data, { mode: 0o700 })
  await writeFile(log, '', { mode: 0o600 })
  await writeFile(passwordFile, passwords.superuser, { mode: 0o600 })
  for (const path of [data, log, passwordFile]) await place.hand(path)
  const made = await place.initdb([
    ...['-D', data, '-U', superuser, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '--no-instructions'],
    // order by code point is the same on every machine; the letters' classes come from Unicode (macOS calls that locale UTF-8)
    ...['--encoding=UTF8', '--locale=C', `--lc-ctype=${process.platform === 'darwin' ? 'UTF-8' : 'C.UTF-8'}`],
    ...(fsync ? [] : ['--no-sync']),
  ])
  await rm(passwordFile, { force: true })
  if (!made.ok) throw new Error(`PostgreSQL's initdb failed: ${made.output.trim()}`)
}
