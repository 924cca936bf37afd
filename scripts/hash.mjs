// One hash over input files tells whether a made folder is up to date.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** @param {string[]} paths files and folders, read in sorted order */
export function hashOf(paths) {
  const hash = createHash('sha256')
  /** @param {string} path */
  const add = (path) => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name))
    else hash.update(path).update('\0').update(readFileSync(path)).update('\0')
  }
  for (const path of paths) add(path)
  return hash.digest('hex')
}

/** @param {string} folder @param {string} hash */
export const fresh = (folder, hash) => existsSync(join(folder, '.inputs')) && readFileSync(join(folder, '.inputs'), 'utf8') === hash

/** @param {string} folder @param {string} hash */
export const stamp = (folder, hash) => writeFileSync(join(folder, '.inputs'), hash)
