import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { connectOnce } from '../../server/db/connect.js'
import { isPortFree } from '../../server/dev/free-port.js'
import { findElsewhere } from '../../server/dev/postgres-place.js'
import { removeDataDir } from '../../server/dev/reset.js'
import { makeFolder, removeFolder } from '../support/temp-folder.js'
import { until } from '../support/until.js'
import { forgetPid, watchFolder, watchPid } from '../support/watchdog.js'

const script = fileURLToPath(new URL('../support/embedded-postgres-process.ts', import.meta.url))
const startWithin = { timeoutMs: 20_000 }

interface Started {
  port: number
  freshlyMade: boolean
  dataPath: string
  url: string
  said: string[]
}

interface Server {
  answer: Promise<Partial<Started> & { error?: string; message?: string }>
  /** SIGKILL of the server alone, as the kernel would: its PostgreSQL runs on. */
  kill(): Promise<void>
  stop(): Promise<void>
}

const servers: Server[] = []
const folders: string[] = []

function startServer(dataDir: string): Server {
  const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  watchPid(child.pid!)
  child.once('exit', () => forgetPid(child.pid!))
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  const server = { answer: firstLine(child), kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
  servers.push(server)
  return server
}

async function firstLine(child: ChildProcess): Promise<object> {
  let text = ''
  for await (const chunk of child.stdout!) {
    text += chunk
    if (text.endsWith('\n')) return JSON.parse(text) as object
  }
  return { error: 'ended', message: 'it said nothing' }
}

async function started(server: Server): Promise<Started> {
  const answer = await server.answer
  expect(answer).not.toHaveProperty('error')
  return answer as Started
}

async function query<T>({ url }: { url: string }, text: string): Promise<T[]> {
  const connection = await connectOnce(url)
  try {
    return (await connection.query(text)).rows as T[]
  } finally {
    await connection.end()
  }
}

/** Where PostgreSQL may not run for root on root's own folders, DATA_DIR holds a marker and /var/tmp the data. */
async function newDataDir(way: 'in place' | 'in /var/tmp' = 'in place'): Promise<{ dataDir: string; home: string }> {
  const parent = await makeFolder('data')
  folders.push(parent)
  const dataDir = join(parent, 'data')
  if (way === 'in place') return { dataDir, home: dataDir }
  await mkdir(dataDir, { mode: 0o700 })
  await writeFile(join(dataDir, 'postgres-elsewhere'), 'forTheTest01', { mode: 0o600 })
  const home = (await findElsewhere(dataDir))!
  watchFolder(home)
  folders.push(home)
  return { dataDir, home }
}

/** Resolves in the middle of initdb, with the number of the process of initdb. */
async function midInitdb(home: string): Promise<number> {
  await until(async () => {
    const draft = (await readdir(home)).find((name) => name.startsWith('postgres.'))
    return draft !== undefined && existsSync(join(home, draft, 'data', 'base'))
  }, startWithin)
  for (const pid of await readdir('/proc')) {
    const command = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') : ''
    if (command.includes('/bin/initdb') && command.includes(`${home}/`)) return Number(pid)
  }
  throw new Error('initdb is over already')
}

async function drafts(home: string): Promise<string[]> {
  return (await readdir(home)).filter((name) => name.startsWith('postgres.'))
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
  for (const folder of folders.splice(0).reverse()) await removeFolder(folder)
})

const ways = process.getuid?.() === 0 && process.platform === 'linux' ? (['in place', 'in /var/tmp'] as const) : (['in place'] as const)

describe('the database below DATA_DIR', () => {
  it('first start, second start, kill -9 and the start after it: the data is there', async () => {
    const { dataDir } = await newDataDir()
    const first = startServer(dataDir)
    const made = await started(first)
    expect(made).toMatchObject({ freshlyMade: true, dataPath: join(dataDir, 'postgres', 'data') })
    await query(made, 'create table kept as select 7 as n')
    await first.stop()
    expect(await isPortFree(made.port)).toBe(true)

    const second = startServer(dataDir)
    const found = await started(second)
    expect(found).toMatchObject({ freshlyMade: false, port: made.port, said: [] })
    const [before] = await query(found, 'select n, pg_postmaster_start_time() as since from kept')
    await second.kill()
    expect(await isPortFree(made.port)).toBe(false)

    const third = startServer(dataDir)
    const adopted = await started(third)
    expect(adopted.said).toEqual([expect.stringContaining('adopted')])
    expect(await query(adopted, 'select n, pg_postmaster_start_time() as since from kept')).toEqual([before])

    const refused = await startServer(dataDir).answer
    expect(refused).toMatchObject({ error: 'DataDirInUse', message: expect.stringContaining('another server runs on this DATA_DIR') })
    await expect(removeDataDir(dataDir)).rejects.toThrow('another server runs on this DATA_DIR')
    expect(await query(adopted, 'select n from kept')).toEqual([{ n: 7 }])

    await third.kill()
    expect(await removeDataDir(dataDir)).toContain(dataDir)
    expect([existsSync(dataDir), await isPortFree(made.port)]).toEqual([false, true])
  })

  it('five first starts at once: one has it, four are refused, and no draft is left', async () => {
    const { dataDir } = await newDataDir()
    const answers = await Promise.all(Array.from({ length: 5 }, () => startServer(dataDir).answer))
    const winners = answers.filter(({ error }) => error === undefined) as Started[]
    expect(winners).toHaveLength(1)
    expect(answers.filter(({ error }) => error === 'DataDirInUse')).toHaveLength(4)
    expect(await query(winners[0]!, 'select 1 as n')).toEqual([{ n: 1 }])
    expect(await drafts(dataDir)).toEqual([])
  })

  it.runIf(process.platform === 'linux').each(
    ways.flatMap((way) => [
      { way, killed: 'the server' },
      { way, killed: 'the server and initdb' },
    ]),
  )('kill -9 of $killed in initdb, data $way: the next start makes a whole database', async ({ way, killed }) => {
    const { dataDir, home } = await newDataDir(way)
    const first = startServer(dataDir)
    const initdb = await midInitdb(home)
    await first.kill()
    if (killed !== 'the server') process.kill(initdb, 'SIGKILL')
    expect(existsSync(join(home, 'postgres'))).toBe(false)
    const second = startServer(dataDir)
    const made = await started(second)
    expect(made).toMatchObject({ freshlyMade: true, dataPath: join(home, 'postgres', 'data') })
    expect(await query(made, 'select datname from pg_database')).toHaveLength(3)
    expect(await drafts(home)).toEqual([])
    await second.kill()
    // an orphan is ended, and nothing stays, here or in /var/tmp
    await removeDataDir(dataDir)
    expect([existsSync(dataDir), existsSync(home), await isPortFree(made.port)]).toEqual([false, false, true])
  })
})

describe('reset', () => {
  /** As `npm run reset` would, on a folder that holds a stranger's things; returns what is left. */
  async function refusedIn(dataDir: string): Promise<string[]> {
    const names = async () => (await readdir(dirname(dataDir), { recursive: true })).sort()
    const before = await names()
    await expect(removeDataDir(dataDir)).rejects.toThrow('nothing was removed')
    expect(await names()).toEqual(before)
    return before
  }

  /** What a finished database looks like, without PostgreSQL. */
  async function makeLookalike(dataDir: string): Promise<void> {
    await mkdir(join(dataDir, 'postgres', 'data'), { recursive: true })
    await writeFile(join(dataDir, 'postgres', 'data', 'PG_VERSION'), '15')
    await writeFile(join(dataDir, 'postgres', 'port'), '1')
    await writeFile(join(dataDir, 'postgres', 'passwords.json'), '{"superuser":"x","retention":"x"}', { mode: 0o600 })
  }

  it('does nothing where nothing is', async () => {
    const { dataDir } = await newDataDir()
    expect(await removeDataDir(dataDir)).toEqual([])
  })

  it('refuses a folder without our database, whatever its entries are called', async () => {
    const { dataDir } = await newDataDir()
    await mkdir(join(dataDir, 'postgres', 'data'), { recursive: true })
    for (const name of ['passwd', 'bootstrap-key', 'postgres.1.0123abcd', 'postgres/data/PG_VERSION'])
      await writeFile(join(dataDir, name), 'x')
    expect(await refusedIn(dataDir)).toContain('data/bootstrap-key')
    await writeFile(join(dataDir, 'postgres-elsewhere'), 'somebody else made this')
    await refusedIn(dataDir)
  })

  it('refuses a database that is not whole, or whose passwords are not ours', async () => {
    const { dataDir } = await newDataDir()
    await makeLookalike(dataDir)
    await writeFile(join(dataDir, 'postgres', 'passwords.json'), '[]')
    await refusedIn(dataDir)
    await writeFile(join(dataDir, 'postgres', 'passwords.json'), 'no JSON')
    await refusedIn(dataDir)
  })

  it('follows no symbolic link: DATA_DIR itself, its database, the passwords', async () => {
    const { dataDir } = await newDataDir()
    const real = join(dirname(dataDir), 'real')
    await makeLookalike(real)
    await symlink(real, dataDir)
    await refusedIn(dataDir)
    const other = join(dirname(dataDir), 'other')
    await mkdir(other)
    await symlink(join(real, 'postgres'), join(other, 'postgres'))
    await refusedIn(other)
    const third = join(dirname(dataDir), 'third')
    await makeLookalike(third)
    await rename(join(third, 'postgres', 'passwords.json'), join(third, 'elsewhere.json'))
    await symlink(join(third, 'elsewhere.json'), join(third, 'postgres', 'passwords.json'))
    await refusedIn(third)
  })

  it('refuses a home and a folder that somebody works in or above it, though they hold a database of ours', async () => {
    const { dataDir } = await newDataDir()
    await makeLookalike(dataDir)
    await mkdir(join(dataDir, 'below'))
    const [home, cwd] = [process.env.HOME, process.cwd()]
    try {
      process.env.HOME = dataDir
      await expect(removeDataDir(dataDir)).rejects.toThrow('holds your home: nothing was removed')
      process.env.HOME = join(dataDir, 'below')
      await expect(removeDataDir(dataDir)).rejects.toThrow('holds your home: nothing was removed')
    } finally {
      if (home === undefined) delete process.env.HOME
      else process.env.HOME = home
    }
    try {
      process.chdir(join(dataDir, 'below'))
      await expect(removeDataDir(dataDir)).rejects.toThrow('holds your working directory: nothing was removed')
    } finally {
      process.chdir(cwd)
    }
    expect(existsSync(join(dataDir, 'postgres', 'passwords.json'))).toBe(true)
  })

  it('removes what is ours, and leaves the rest and what links lead to', async () => {
    const { dataDir } = await newDataDir()
    await makeLookalike(dataDir)
    const outside = join(dirname(dataDir), 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'kept'), 'x')
    await symlink(outside, join(dataDir, 'postgres', 'data', 'link'))
    await symlink(outside, join(dataDir, 'postgres.1.0123abcd'))
    for (const name of ['bootstrap-key', 'key-encryption-keys', 'notes.txt']) await writeFile(join(dataDir, name), 'x')
    await removeDataDir(dataDir)
    expect(await readdir(dataDir)).toEqual(['notes.txt'])
    expect(await readdir(outside)).toEqual(['kept'])
  })
})
