import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { until } from './until.js'
import { forgetPid, watchPid } from './watchdog.js'

/** The checkout. */
export const repo = fileURLToPath(new URL('../..', import.meta.url))
export const serverProgram = [process.execPath, fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))] as const

/** A program as a user starts it: it may fail, or be ended before it is ready. */
export interface Starting {
  readonly process: ChildProcess
  readonly pid: number
  /** Both streams, so far. */
  output(): string
  /** What ended it. */
  readonly exited: Promise<number | NodeJS.Signals>
  /** The same, as far as it is known. */
  end(): number | NodeJS.Signals | undefined
  /** Resolves when it says that it is ready. @throws if it ends before. */
  ready(): Promise<this>
  /** Sends the signal and resolves as `exited`. */
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>
  address(): string
  httpUrl(): string
  /** `CUSTOMER_API_KEY` as the banner prints it. */
  key(): string | undefined
}

const startings: Starting[] = []

export interface StartOptions {
  readonly program?: readonly string[]
  readonly cwd?: string
  /** A process group of its own, as a shell makes one: Ctrl-C goes to all of it. */
  readonly group?: boolean
}

/** Starts it on free ports. Nothing of the test's environment but PATH and HOME reaches it. */
export function begin(
  env: Readonly<Record<string, string>>,
  { program = serverProgram, cwd = repo, group = false }: StartOptions = {},
): Starting {
  const [file, ...args] = program
  const { PATH, HOME } = process.env
  const child = spawn(file as string, args, {
    cwd,
    detached: group,
    env: { PATH, HOME, GRPC_PORT: '0', HTTP_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const pid = child.pid as number
  watchPid(pid)
  let output = ''
  let end: number | NodeJS.Signals | undefined
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', () => forgetPid(pid))
    child.once('close', (code, signal) => {
      end = code ?? signal ?? 1
      resolve(end)
    })
  })
  const found = (pattern: RegExp) => pattern.exec(output)?.[1]
  const starting: Starting = {
    process: child,
    pid,
    output: () => output,
    exited,
    end: () => end,
    async ready() {
      await until(() => /^ready in |"msg":"ready"/m.test(output) || end !== undefined, { timeoutMs: 60_000 })
      if (end !== undefined) throw new Error(`ended with ${end}:\n${output}`)
      return starting
    },
    kill(signal) {
      if (end === undefined) process.kill(group ? -pid : pid, signal)
      return exited
    },
    address: () => found(/gRPC +(127\.0\.0\.1:\d+)/) as string,
    httpUrl: () => found(/(http:\/\/127\.0\.0\.1:\d+)\/healthz/) as string,
    key: () => found(/export CUSTOMER_API_KEY=(\S+)/),
  }
  startings.push(starting)
  return starting
}

/** Ends what `begin` started and is not over: to be called after each test. */
export async function endAll(): Promise<void> {
  await Promise.all(
    startings.splice(0).map(async (each) => {
      if (each.end() === undefined) await each.kill('SIGTERM')
    }),
  )
}

/** Processes that name this text in their command line or their environment: those of a DATA_DIR. Linux alone. */
export async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const [command, environment] = await Promise.all(
      ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    )
    if (`${command}\n${environment}`.includes(text)) found.push(`${pid} ${command?.replaceAll('\0', ' ').slice(0, 200)}`)
  }
  return found
}

/** Nothing of it is left running; what is ending has a moment. */
export async function nothingRunsOn(dataDir: string): Promise<void> {
  let left: string[] = []
  const nothing = async () => {
    left = await processesNaming(dataDir)
    return left.length === 0
  }
  await until(nothing, { timeoutMs: 3_000 }).catch(() => {
    throw new Error(`still running:\n${left.join('\n')}`)
  })
}
