import { link, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withDraft } from './drafts.js'

/**
 * A secret of development in DATA_DIR, `bootstrap-key` or `key-encryption-keys`: made at the first start, mode 0600, and the same ever
 * after. Of several first starts at once all get the same one, and a kill leaves none or a whole one.
 * @throws where the file is there and empty: another secret would make what the old one sealed unreadable
 */
export async function keptSecret(dataDir: string, name: 'bootstrap-key' | 'key-encryption-keys', make: () => string): Promise<string> {
  const file = join(dataDir, name)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await withDraft(dataDir, name, async (draft) => {
    if ((await read(file)) !== undefined) return
    await writeFile(draft, `${make()}\n`, { mode: 0o600, flag: 'wx', flush: true })
    // link, unlike rename, lets the first of several win
    await link(draft, file).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'EEXIST') throw err
    })
  })
  return (await read(file)) as string
}

async function read(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return undefined
    throw err
  })
  if (text?.trim() === '') throw new Error(`${file} is empty: put the secret back, or remove the file to have another one made`)
  return text?.trim()
}
