import { type ChildProcess, fork, spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import manifest from '../package.json' with { type: 'json' }
import { until } from '../test/support/until.js'

const probe = new URL('./probe.mjs', import.meta.url).href
const main = fileURLToPath(new URL('../dist/server/main.js', import.meta.url))
/** As `npm start` runs it. */
const nodeFlags = manifest.scripts.start.split(' ').filter((word) => word.startsWith('--'))
const started = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL')
})

function watch(child: ChildProcess): void {
  started.add(child)
  child.once('exit', () => started.delete(child))
}

/** A process whose CPU time can be asked. */
export interface Measured {
  /** µs used so far. */
  cpuUs(): Promise<number>
  /** Takes a profile, if BENCH_PROFILE named a folder at its start. */
  profile(what: 'start' | 'stop'): Promise<void>
  stop(): Promise<void>
}

export interface Server extends Measured {
  /** `127.0.0.1:<port>`. */
  readonly address: string
  /** Lines of its log that tell of failures, the last of them. */
  failures(): string
}

export interface Child extends Measured {
  /** Sends a message and waits for the answer. Throws the error that the child reports. */
  ask<A>(message: unknown): Promise<A>
}

let probes = 0

function probed(folder: string, name: string) {
  const socket = join(folder, `probe-${++probes}`)
  const profiles = process.env['BENCH_PROFILE']
  const env = {
    NODE_OPTIONS: `--import ${probe}`,
    BENCH_PROBE: socket,
    ...(profiles ? { BENCH_PROFILE: join(profiles, `${name}.cpuprofile`) } : {}),
  }
  return { socket, env }
}

function measured(child: ChildProcess, socket: string): Measured {
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    cpuUs: async () => Number(await exchange(socket, 'cpu')),
    profile: async (what) => void (await exchange(socket, what)),
    stop: async () => {
      child.kill('SIGTERM')
      const impatience = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exited
      clearTimeout(impatience)
    },
  }
}

function exchange(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(path, () => socket.write(text))
    socket.on('data', (bytes) => {
      answer += bytes
    })
    socket.once('end', () => resolve(answer))
    socket.once('error', reject)
  })
}

/** A TypeScript file of this folder as a process of its own, which answers each message with one. */
export function startChild(file: string, folder: string): Child {
  const { socket, env } = probed(folder, file.replaceAll(/\W/g, '-'))
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), {
    serialization: 'advanced',
    execArgv: [...nodeFlags, '--import', 'tsx'],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  watch(child)
  return {
    ...measured(child, socket),
    ask: <A>(message: unknown) =>
      new Promise<A>((resolve, reject) => {
        const died = (code: number | null) => reject(new Error(`${file} ended with ${code}`))
        child.once('exit', died)
        child.once('message', (answer: A & { error?: string }) => {
          child.off('exit', died)
          if (answer.error === undefined) resolve(answer)
          else reject(new Error(`${file}: ${answer.error}`))
        })
        if (message !== undefined) child.send(message as object)
      }),
  }
}

/** The built server. Its log goes to a file, as it would to a collector. */
export async function startServer(folder: string, name: string, variables: Readonly<Record<string, string>>): Promise<Server> {
  const { socket, env } = probed(folder, name)
  const log = join(folder, `${name}.log`)
  const out = openSync(log, 'a')
  const child = spawn(process.execPath, [...nodeFlags, main], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], HOST: '127.0.0.1', GRPC_PORT: '0', HTTP_PORT: '0', ...variables, ...env },
    stdio: ['ignore', out, out],
  })
  watch(child)
  const text = () => readFileSync(log, 'utf8')
  await until(() => child.exitCode !== null || /^ready in /m.test(text()), { timeoutMs: 60_000 })
  const address = /gRPC\s+(127\.0\.0\.1:\d+)/.exec(text())?.[1]
  if (address === undefined) throw new Error(`the server ended with ${child.exitCode}:\n${text()}`)
  const failures = () =>
    text()
      .split('\n')
      .filter((line) => /"level":"(warn|error)"|"reason":/.test(line))
      .slice(-5)
      .join('\n')
  return { ...measured(child, socket), address, failures }
}
