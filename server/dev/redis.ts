import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { freePort } from './free-port.js'

export interface EmbeddedRedis {
  readonly url: string
  readonly how: string
  stop(): Promise<void>
}

const readyWithinMs = 5_000

/** The `redis-server` on the PATH, for this process alone: nothing is kept, and it ends with us, also where we are killed (setpriv). undefined: there is none. */
export async function startRedisOfPath(): Promise<EmbeddedRedis | undefined> {
  if (spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status !== 0) return undefined
  const port = await freePort()
  const password = randomBytes(18).toString('hex')
  const tied = spawnSync('setpriv', ['--version'], { stdio: 'ignore' }).status === 0
  const [program, ...args] = [...(tied ? ['setpriv', '--pdeathsig', 'KILL'] : []), 'redis-server', '-']
  // In a session of its own Ctrl-C does not reach it before the drain is over; the password comes by stdin, where no list of processes shows it.
  const child = spawn(program as string, args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true })
  child.stdin.end(`bind 127.0.0.1\nport ${port}\nrequirepass ${password}\nsave ""\nappendonly no\n`)
  const stop = () => ended(child)
  try {
    await ready(child)
  } catch {
    await stop()
    return undefined
  }
  return { url: `redis://:${password}@127.0.0.1:${port}`, how: `redis-server of the PATH on 127.0.0.1:${port}`, stop }
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('redis-server is not ready')), readyWithinMs)
    const over = (err?: Error) => {
      clearTimeout(timer)
      if (err) reject(err)
      else resolve()
    }
    child.once('error', over)
    child.once('exit', () => over(new Error('redis-server ended')))
    child.stdout?.on('data', (text: Buffer) => /Ready to accept connections/i.test(text.toString()) && over())
  })
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL') // it keeps nothing
  })
}
