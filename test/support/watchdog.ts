import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

let input: Writable | undefined

/**
 * From now on, what runs on this folder (PostgreSQL, Redis, Kafka by their command lines) ends with this process, also when it is
 * killed, and the folder is removed. To be called before anything is started there.
 */
export function watchFolder(folder: string): void {
  tell(`+folder ${folder}`)
}

export function forgetFolder(folder: string): void {
  tell(`-folder ${folder}`)
}

/** A child that must not outlive this process: a service, or a `node` of a test. To be called as soon as it is spawned. */
export function watchPid(pid: number): void {
  tell(`+pid ${pid}`)
}

/** To be called when the child has ended: its number will be another's. */
export function forgetPid(pid: number): void {
  tell(`-pid ${pid}`)
}

/** One watchdog a process, in a session of its own: neither Ctrl-C nor a kill of our process group reaches it. */
function tell(line: string): void {
  if (!input) {
    const child = spawn(process.execPath, [fileURLToPath(new URL('./watchdog.mjs', import.meta.url))], {
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
      cwd: '/',
      env: process.env.TMPDIR === undefined ? {} : { TMPDIR: process.env.TMPDIR },
    })
    child.once('exit', (code, signal) => {
      throw new Error(`the watchdog of the test services ended (${signal ?? code}): what is started now would outlive a kill`)
    })
    child.unref()
    ;(child.stdin as typeof child.stdin & { unref(): void }).unref()
    input = child.stdin
  }
  input.write(`${line}\n`)
}
