import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as atRandom } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { connect } from '../support/client.js'
import { begin, endAll, nothingRunsOn, repo, type Starting, serverProgram } from '../support/starting.js'
import { makeFolder, removeFolder } from '../support/temp-folder.js'
import { until } from '../support/until.js'

const linux = process.platform === 'linux'
const root = linux && process.getuid?.() === 0
const run = promisify(execFile)
const folders: string[] = []
const listeners: Server[] = []

afterEach(async () => {
  await endAll()
  for (const each of listeners.splice(0)) each.close()
  for (const folder of folders.splice(0)) await removeFolder(folder)
})

async function newDataDir(): Promise<string> {
  const parent = await makeFolder('start')
  folders.push(parent)
  return join(parent, 'data')
}

/** A port that is taken, on this address. */
async function takenPort(host: string): Promise<number> {
  const server = createServer().listen(0, host)
  listeners.push(server)
  await until(() => server.listening, { timeoutMs: 2_000 })
  return (server.address() as { port: number }).port
}

/** As a reader of the banner does: the export and the call, pasted into a shell. */
async function pasted(server: Starting): Promise<{ name: string; slug: string }> {
  const lines = server.output().split('\n')
  const exported = lines.filter((line) => line.includes('export CUSTOMER_API_KEY='))
  const from = lines.findIndex((line) => line.startsWith('A first call:')) + 1
  const call = lines.slice(from, lines.indexOf('', from))
  const { stdout } = await run('bash', ['-c', [...exported, ...call].join('\n')], {
    cwd: repo,
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
  })
  return JSON.parse(stdout)
}

async function tenantsOf(server: Starting): Promise<string[]> {
  const clients = connect(server.address(), server.key())
  try {
    return (await clients.tenants.listTenants({})).tenants.map(({ slug }) => slug).sort()
  } finally {
    clients.close()
  }
}

/** `in`: where the checkout and DATA_DIR are seen. Root alone can show the checkout to others wherever it lies: by a mount of its own. */
interface Way {
  readonly name: string
  make(): Promise<{ dataDir: string; program: readonly string[] }>
}
const seenFrom = (place: string, rest: string, ...then: string[]) =>
  ['unshare', '--mount', 'sh', '-c', `mount --bind "$1" "$2" && shift 2 && cd / && exec ${rest}`, 'sh', repo, place, ...then] as const
const ways: Way[] = [{ name: 'as whoever runs this', make: async () => ({ dataDir: await newDataDir(), program: serverProgram }) }]
if (root) {
  ways.push(
    {
      name: 'as root, all below a home of mode 700',
      make: async () => {
        const dataDir = await newDataDir()
        const home = join(dataDir, '..', 'home')
        await mkdir(join(home, 'checkout'), { recursive: true })
        await chmod(home, 0o700)
        const main = join(home, 'checkout/dist/server/main.js')
        return { dataDir: join(home, 'data'), program: seenFrom(join(home, 'checkout'), '"$@"', process.execPath, main) }
      },
    },
    {
      name: 'as an ordinary user',
      make: async () => {
        const dataDir = await newDataDir()
        const parent = join(dataDir, '..')
        await mkdir(join(parent, 'checkout'))
        await chown(parent, 65_534, 65_534)
        const user = 'setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'
        return {
          dataDir,
          program: seenFrom(join(parent, 'checkout'), user, process.execPath, join(parent, 'checkout/dist/server/main.js')),
        }
      },
    },
  )
}

describe.each(ways)('$name', ({ make }) => {
  it('the first start says what it uses, the key and a first call that works as pasted; the second finds its data and the same key', async () => {
    const { dataDir, program } = await make()
    const first = await begin({ DATA_DIR: dataDir }, { program }).ready()
    expect(first.output()).toMatch(
      /PostgreSQL +PostgreSQL 15 from npm on 127\.0\.0\.1:\d+, data in .+\n +Redis +\S.*\n +Kafka +none: the relay rests/,
    )
    expect(first.output()).toMatch(/^ready in \d+\.\d s$/m)
    expect(first.key()).toMatch(/^ck_p_[0-9a-z]{26}_[0-9a-z]{52}_[0-9a-z]{7}$/)
    expect(await readFile(join(dataDir, 'bootstrap-key'), 'utf8')).toBe(`${first.key()}\n`)
    for (const name of ['bootstrap-key', 'key-encryption-keys']) expect((await stat(join(dataDir, name))).mode & 0o777).toBe(0o600)
    expect(await pasted(first)).toMatchObject({ slug: 'acme', displayName: 'Acme Ltd' })
    expect(await first.kill('SIGTERM')).toBe(0)
    if (linux) await nothingRunsOn(dataDir)

    const second = await begin({ DATA_DIR: dataDir }, { program }).ready()
    expect(second.key()).toBe(first.key())
    expect(await tenantsOf(second)).toEqual(['acme'])
    // the first call takes a slug that is free, at every start
    expect(second.output()).toContain('"slug":"acme-')
    expect(await second.kill('SIGINT')).toBe(0)
    if (linux) await nothingRunsOn(dataDir)
  })
})

describe.runIf(linux)('whatever happens to a start', () => {
  /** One database for several tests, made once. */
  let made: string
  afterAll(() => removeFolder(made))
  const madeDataDir = async () => {
    made ??= await makeFolder('made')
    if (!existsSync(join(made, 'postgres'))) await (await begin({ DATA_DIR: made }).ready()).kill('SIGTERM')
    return made
  }

  it('npm start: SIGTERM to npm and Ctrl-C leave no process behind, exit code 0', async () => {
    const dataDir = await madeDataDir()
    const npm = { program: ['npm', 'start'], group: true }
    const first = await begin({ DATA_DIR: dataDir }, npm).ready()
    process.kill(first.pid, 'SIGTERM')
    expect(await first.exited).toBe(0)
    await nothingRunsOn(dataDir)
    const second = await begin({ DATA_DIR: dataDir }, npm).ready()
    expect(await second.kill('SIGINT')).toBe(0)
    await nothingRunsOn(dataDir)
  })

  it('two starts on one DATA_DIR: the second is refused and the first serves on; kill -9: the next one recovers by itself', async () => {
    const dataDir = await madeDataDir()
    const first = await begin({ DATA_DIR: dataDir }).ready()
    const second = begin({ DATA_DIR: dataDir })
    expect(await second.exited).toBe(1)
    expect(second.output()).toMatch(
      /^customer-management: another server runs on this DATA_DIR .*: stop that one first, or set another DATA_DIR\n$/,
    )
    const before = await tenantsOf(first)
    await pasted(first)
    await first.kill('SIGKILL')

    const third = await begin({ DATA_DIR: dataDir }).ready()
    expect(third.output()).toContain('PostgreSQL was still running, its server was not: adopted')
    expect(third.key()).toBe(first.key())
    expect(await tenantsOf(third)).toHaveLength(before.length + 1)
    expect(await third.kill('SIGTERM')).toBe(0)
    await nothingRunsOn(dataDir)
  })

  it('a port in use is named, and nothing is left running', async () => {
    const dataDir = await madeDataDir()
    for (const name of ['GRPC_PORT', 'HTTP_PORT']) {
      const port = await takenPort('127.0.0.1')
      const server = begin({ DATA_DIR: dataDir, [name]: String(port) })
      expect(await server.exited).toBe(1)
      expect(server.output()).toContain(`customer-management: ${name} ${port} on 127.0.0.1 is in use`)
      expect(server.output()).not.toContain('ready in')
      await nothingRunsOn(dataDir)
    }
  })

  it('an address that the machine lacks, as ::1 without IPv6, is one line', async () => {
    const server = await begin({ DATA_DIR: await madeDataDir(), HOST: '127.0.0.1,fd00::dead:1' }).ready()
    const lines = () =>
      server
        .output()
        .split('\n')
        .filter((line) => line.includes('fd00::dead:1'))
    await until(() => lines().length > 0, { timeoutMs: 5_000 })
    expect(lines()).toEqual([expect.stringContaining('does not have this address')])
    expect((await fetch(`${server.httpUrl()}/readyz`)).status).toBe(200)
  })

  /** Moments of a first start, as the files below DATA_DIR show them. */
  const moments: Record<string, (dataDir: string) => boolean | Promise<boolean>> = {
    'in initdb': async (dataDir) => (await readdir(dataDir)).some((name) => name.startsWith('postgres.')),
    'when PostgreSQL starts': (dataDir) => existsSync(join(dataDir, 'postgres', 'data', 'postmaster.pid')),
    'when the migrations are about done': (dataDir) => existsSync(join(dataDir, 'key-encryption-keys')),
  }
  const reached = (moment: string, dataDir: string) => until(() => moments[moment]!(dataDir), { timeoutMs: 30_000 })

  it('kill -9 in a first start, again and again, here and there: the next start recovers by itself', async () => {
    const dataDir = await newDataDir()
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
    let state = seed + 1
    const random = () => {
      state = (state * 48_271) % 2_147_483_647
      return state / 2_147_483_647
    }
    const randomKills = process.env.N === 'full' ? 60 : 2
    console.log(`  kills of a first start: seed ${seed}, N ${randomKills + 3}`)
    for (const moment of Object.keys(moments)) {
      const server = begin({ DATA_DIR: dataDir })
      await reached(moment, dataDir)
      await server.kill('SIGKILL')
    }
    for (let n = 0; n < randomKills; n++) {
      // half of them on a DATA_DIR of their own, from the beginning
      const place = n % 2 === 0 ? await newDataDir() : dataDir
      const server = begin({ DATA_DIR: place })
      await atRandom(200 + random() * 2_500)
      await server.kill('SIGKILL')
      if (place !== dataDir) await begin({ DATA_DIR: place }).ready()
    }
    const last = await begin({ DATA_DIR: dataDir }).ready()
    expect(await tenantsOf(last)).toEqual([])
    expect((await readdir(dataDir)).sort()).toEqual(['bootstrap-key', 'key-encryption-keys', 'postgres'])
  })

  it('SIGTERM while it starts for the first time: exit code 0, nothing left running, and the next start works', async () => {
    const dataDir = await newDataDir()
    for (const moment of Object.keys(moments)) {
      const server = begin({ DATA_DIR: dataDir })
      await reached(moment, dataDir)
      expect(await server.kill('SIGTERM')).toBe(0)
      await nothingRunsOn(dataDir)
    }
    await begin({ DATA_DIR: dataDir }).ready()
  })
})

it('mistakes of the configuration are all named in one message, exit code 78', async () => {
  const server = begin({ GRPC_PORT: 'x', HOST: 'nowhere', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://x' })
  expect(await server.exited).toBe(78)
  expect(server.output()).toMatch(/^the configuration has \d mistakes:\n/)
  for (const name of ['GRPC_PORT', 'HOST', 'LOG_LEVEL', 'DATABASE_URL']) expect(server.output()).toContain(`\n  ${name} `)
})

it('C-042 production refuses to start without secrets, and with placeholders, and makes up none', async () => {
  const dataDir = await newDataDir()
  const bare = begin({ NODE_ENV: 'production', DATA_DIR: dataDir })
  expect(await bare.exited).toBe(78)
  for (const name of ['DATABASE_URL', 'KEY_ENCRYPTION_KEYS', 'BOOTSTRAP_API_KEY']) expect(bare.output()).toContain(`${name} is not set`)
  const lazy = begin({
    NODE_ENV: 'production',
    DATA_DIR: dataDir,
    BOOTSTRAP_API_KEY: 'ck_changeme_changeme_changeme_changeme',
    KEY_ENCRYPTION_KEYS: Buffer.alloc(32, 'a').toString('base64'),
    DATABASE_URL: 'postgres://app:postgres@db/x',
  })
  expect(await lazy.exited).toBe(78)
  for (const name of ['BOOTSTRAP_API_KEY is', 'KEY_ENCRYPTION_KEYS: key 1', 'DATABASE_URL is']) expect(lazy.output()).toContain(name)
  expect(lazy.output()).not.toContain('changeme')
  expect(existsSync(dataDir)).toBe(false)
})
