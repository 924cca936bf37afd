import { spawn } from 'node:child_process'

export interface Ran {
  ok: boolean
  /** stdout and stderr, in the order they came. */
  output: string
}

export interface RunOptions {
  cwd?: string
  uid?: number
  gid?: number
  env?: NodeJS.ProcessEnv
  timeoutMs?: number
}

/**
 * Runs a program to its end. It never throws: a program that is missing is one that failed, with the reason as its output.
 * It runs in a process group of its own, so that Ctrl-C reaches us alone and we decide what becomes of the child.
 */
export function run(file: string, args: string[], { timeoutMs, ...opts }: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      ...opts,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      killSignal: 'SIGKILL',
      timeout: timeoutMs ?? 0,
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk))
    child.once('error', (err) => resolve({ ok: false, output: err.message }))
    child.once('close', (code, signal) => resolve({ ok: code === 0, output: output + (signal ? `\nended by ${signal}` : '') }))
  })
}
