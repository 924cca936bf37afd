import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Drafts of this process: those that bear its number without being here are of an earlier life (in containers, numbers repeat). */
const ours = new Set<string>()

/**
 * Lets `finish` fill a folder or file beside its place and put it there when it is whole, so that a kill at any moment leaves nothing
 * half under the real name. Whatever fails, the draft is gone.
 */
export async function withDraft(parent: string, name: string, finish: (draft: string) => Promise<void>): Promise<void> {
  await removeStaleDrafts(parent, name)
  const draft = join(parent, `${name}.${process.pid}.${randomBytes(4).toString('hex')}`)
  ours.add(draft)
  try {
    await finish(draft)
  } finally {
    await remove(draft)
    ours.delete(draft)
  }
}

/** Removes what killed processes left. A child that still writes there for its dead parent only loses files that nobody wants. */
export async function removeStaleDrafts(parent: string, name: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    const pid = entry.startsWith(`${name}.`) ? /^(\d+)\.[0-9a-f]{8}$/.exec(entry.slice(name.length + 1))?.[1] : undefined
    if (pid === undefined || ours.has(join(parent, entry))) continue
    if (Number(pid) === process.pid || !isAlive(Number(pid))) await remove(join(parent, entry))
  }
}

/** Whether any process has this number; whose it is, the number can't tell. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10 })
}
