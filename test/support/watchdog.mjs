// Outlives by a moment the process that started it: when that one ends, however it ends, stdin closes, and what it left running is
// ended and what it left lying about is removed. Plain JavaScript, so that Node alone runs it.
import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that merely names one of our folders, an editor say, is none of ours. */
const programs = new Set(['postgres', 'initdb', 'pg_ctl', 'unshare', 'java', 'redis-server'])
/** Those whose command line doesn't name the folder are known by number. */
const numbered = new Set(['redis-server', 'java', 'node', 'postgres', 'postgres:'])

const folders = new Set()
const pids = new Set()
for await (const line of createInterface({ input: process.stdin })) {
  const [, sign, kind, value] = /^([+-])(folder|pid) (.+)$/.exec(line)
  const [set, item] = kind === 'folder' ? [folders, value] : [pids, Number(value)]
  sign === '+' ? set.add(item) : set.delete(item)
}

// a pg_ctl or an initdb that is ended may just have started another process: quiet is three quiet rounds
for (let round = 0, quiet = 0; quiet < 3 && round < 150; round++) {
  const left = processes().filter(isOurs)
  quiet = left.length === 0 ? quiet + 1 : 0
  for (const { pid, program } of left) {
    // PostgreSQL gives its shared memory back only if it ends by itself
    const asked = program === 'postgres' && round < 50
    signal(pid, asked ? 'SIGQUIT' : 'SIGKILL')
    if (asked) signal(pid, 'SIGCONT')
  }
  await sleep(100)
}
for (const folder of folders) removeFolder(folder)

function isOurs({ pid, program, command }) {
  if (pids.has(pid) && numbered.has(program)) return true
  return programs.has(program) && [...folders].some((folder) => command.includes(`${folder}/`))
}

function processes() {
  const parse = (pid, command) => ({ pid: Number(pid), command, program: basename(command.split(/[\0 ]/, 1)[0]) })
  if (!existsSync('/proc/self/cmdline')) {
    const lines = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,command='], { encoding: 'utf8' }).split('\n')
    return lines.flatMap((line) => (/^ *\d+ /.test(line) ? [parse(...line.trim().split(/ +(.*)/, 2))] : []))
  }
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [parse(pid, readFileSync(`/proc/${pid}/cmdline`, 'utf8'))] : []
    } catch {
      return []
    }
  })
}

function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch {
    // ended by itself
  }
}

/** The same promise as `removeFolder` of temp-folder.ts. */
function removeFolder(folder) {
  try {
    const place = dirname(folder)
    const known = place === realpathSync(tmpdir()) || place === '/var/tmp'
    if (!known || !basename(folder).startsWith('customer-management-') || !lstatSync(folder).isDirectory()) return
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  } catch {
    // gone already
  }
}
