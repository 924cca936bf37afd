import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeFolder } from './temp-folder.js'
import { forgetPid, watchPid } from './watchdog.js'

/** A real service as a process of our own, to be hurt. All of it ends with this process, also when that is killed. */
export interface ServiceProcess {
  /** Another one after `restart`. */
  readonly pid: number
  /** SIGSTOP: it holds its connections and answers nothing. */
  pause(): Promise<void>
  /** SIGCONT. */
  resume(): Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Comes back on the same port and the same data; one that still runs is asked to end first. Resolves when it answers. */
  restart(): Promise<void>
  /** Ends it and throws its data away. May be called again. */
  stop(): Promise<void>
}

/** The service can't be had on this machine; the message says how to get it. */
export class ServiceMissing extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'ServiceMissing'
  }
}

export interface Program {
  name: string
  file: string
  args: string[]
  env: NodeJS.ProcessEnv
  /** Holds its data and its `log`; removed by `stop`. */
  folder: string
  /** Asked until it is true. */
  answers(): Promise<boolean>
}

const readyWithinMs = 60_000
const endWithinMs = 15_000

/** Starts the program and waits until it answers. @throws with the end of its log if it ends, or doesn't answer within 60 s. */
export async function launch(program: Program): Promise<ServiceProcess> {
  let child = await begin(program)
  let stopping: Promise<void> | undefined
  return {
    get pid() {
      return child.pid!
    },
    pause: async () => {
      child.kill('SIGSTOP')
    },
    resume: async () => {
      child.kill('SIGCONT')
    },
    kill: () => end(child, 'SIGKILL'),
    restart: async () => {
      await end(child, 'SIGTERM')
      child = await begin(program)
    },
    stop: () => (stopping ??= end(child, 'SIGKILL').then(() => removeFolder(program.folder))),
  }
}

async function begin(program: Program): Promise<ChildProcess> {
  const { name, file, args, env, folder, answers } = program
  const log = join(folder, 'log')
  const output = openSync(log, 'a')
  // a session of its own: Ctrl-C reaches us alone, and we decide what becomes of it
  const child = spawn(file, args, { detached: true, cwd: folder, env, stdio: ['ignore', output, output] })
  const failed = once(child, 'error').then(([err]) => err as Error)
  if (child.pid === undefined) throw new ServiceMissing(`${name} did not start: ${(await failed).message}`)
  const { pid } = child
  watchPid(pid)
  child.once('exit', () => forgetPid(pid))
  child.unref()
  const deadline = Date.now() + readyWithinMs
  // one that ended may have lost its port to another, and it is that one that answers
  while (!(await answers()) || hasEnded(child)) {
    const ended = hasEnded(child)
    if (ended || Date.now() > deadline) {
      await end(child, 'SIGKILL')
      throw new Error(`${name} ${ended ? 'ended' : `did not answer within ${readyWithinMs / 1000} s`}\n${await lastLines(log)}`)
    }
    await sleep(50)
  }
  return child
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (hasEnded(child)) return
  child.ref()
  const exit = once(child, 'exit')
  child.kill(signal)
  // one that is paused takes no SIGTERM
  child.kill('SIGCONT')
  const impatience = setTimeout(() => child.kill('SIGKILL'), endWithinMs)
  await exit
  clearTimeout(impatience)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-15).join('\n')
}
