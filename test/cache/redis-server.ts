import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../server/dev/free-port.js'

export interface RedisServer {
  readonly port: number
  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void
  /** Starts it again, empty, on the same port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** On the PATH, or where the global set-up put the one that it fetched. */
const binary: string | undefined = ['redis-server', `.cache/redis-${process.platform}-${process.arch}/redis-server`].find((file) => {
  try {
    execFileSync(file, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})
export const haveRedis = binary !== undefined
if (!haveRedis) console.warn('NO REDIS-SERVER: the tests of the cache that need one are skipped (Debian: apt-get install redis-server)')

/** A Redis of this test's own, in memory alone. */
export async function startRedis(...args: string[]): Promise<RedisServer> {
  const tls = args.includes('--tls-port')
  const port = tls ? Number(args[args.indexOf('--tls-port') + 1]) : await freePort()
  let child: ChildProcess
  const start = async () => {
    child = spawn(
      binary ?? 'redis-server',
      ['--port', tls ? '0' : String(port), '--bind', '127.0.0.1', '-127.0.0.2', '--save', '', '--appendonly', 'no', ...args],
      { stdio: 'ignore' },
    )
    for (let tries = 0; !(await accepts(port)); tries++) {
      if (tries === 200) throw new Error('redis-server does not accept connections')
      await sleep(25)
    }
  }
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  await start()
  return {
    port,
    signal: (name) => void child.kill(name),
    restart: async () => {
      await end()
      await start()
    },
    stop: end,
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
