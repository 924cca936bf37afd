import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LoginUrls } from '../../server/db/migrate.command.js'
import { forgetPid, watchPid } from './watchdog.js'

const main = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const readyWithinMs = 60_000

export interface ServerProcess {
  readonly process: ChildProcess
  readonly pid: number
  /** `127.0.0.1:<port>` */
  readonly address: string
  readonly httpUrl: string
  /** All that it wrote so far, both streams. */
  output(): string
  /** Resolves to its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>
  /** SIGTERM; resolves as `exited`. */
  stop(): Promise<number | NodeJS.Signals>
}

export const databaseEnv = (urls: LoginUrls) => ({
  DATABASE_URL: urls.app,
  MIGRATOR_DATABASE_URL: urls.migrator,
  RELAY_DATABASE_URL: urls.relay,
  RETENTION_DATABASE_URL: urls.retention,
})

/** The built server as a child process, on free ports. Nothing of the test's environment but the PATH reaches it. */
export async function startServerProcess(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], HOST: '127.0.0.1', GRPC_PORT: '0', HTTP_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const pid = child.pid as number
  watchPid(pid)
  child.once('exit', () => forgetPid(pid))
  let output = ''
  const exited = new Promise<number | NodeJS.Signals>((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal ?? 1)))
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (/^ready in /m.test(output)) resolve()
      })
    }
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not ready within ${readyWithinMs} ms:\n${output}`)), readyWithinMs)
  })
  const died = exited.then((code) => Promise.reject(new Error(`the server ended with ${code}:\n${output}`)))
  died.catch(() => {})
  try {
    await Promise.race([ready, died, late])
  } catch (err) {
    child.kill('SIGKILL')
    throw err
  } finally {
    clearTimeout(timer)
  }
  const address = /gRPC\s+(127\.0\.0\.1:\d+)/.exec(output)?.[1]
  const httpUrl = /(http:\/\/127\.0\.0\.1:\d+)\/healthz/.exec(output)?.[1]
  if (!address || !httpUrl) throw new Error(`no ports in:\n${output}`)
  return {
    process: child,
    pid,
    address,
    httpUrl,
    output: () => output,
    exited,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}
