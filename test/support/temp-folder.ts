import { lstat, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { forgetFolder, watchFolder } from './watchdog.js'

const prefix = 'customer-management-'

/** A new folder for one service of a test. It goes with this process, however that ends. */
export async function makeFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), `${prefix}${name}-`))
  watchFolder(folder)
  return folder
}

/** Removes a folder that `makeFolder` made, or one of ours in /var/tmp. @throws for any other, and removes nothing. */
export async function removeFolder(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => undefined)
  if (found) {
    const known = dirname(folder) === (await realpath(tmpdir())) || dirname(folder) === '/var/tmp'
    if (!known || !basename(folder).startsWith(prefix) || !found.isDirectory()) throw new Error(`${folder} is no folder of a test`)
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
  forgetFolder(folder)
}
