import { resolve } from 'node:path'
import { removeDataDir } from '../server/dev/reset.js'

const dataDir = resolve(process.env.DATA_DIR || '.data')
try {
  const removed = await removeDataDir(dataDir)
  console.log(removed.length > 0 ? `removed ${removed.join(' and ')}` : `nothing to remove: there is no ${dataDir}`)
} catch (err) {
  console.error(`reset: ${(err as Error).message}`)
  process.exitCode = 1
}
