import { readFileSync } from 'node:fs'

/** Paths of PEM files, as the configuration names them. */
export interface PemFiles {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** Their texts, under the names that node:tls, and so pg, ioredis and kafkajs, give them. */
export interface Pems {
  /** Said outright, since NODE_TLS_REJECT_UNAUTHORIZED would else decide. */
  rejectUnauthorized: true
  ca?: string
  cert?: string
  key?: string
}

/** @throws Error that names the file */
export function readPems(files: PemFiles): Pems {
  const pems: Pems = { rejectUnauthorized: true }
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = files[name]
    if (path === undefined) continue
    try {
      pems[name] = readFileSync(path, 'utf8')
    } catch (err) {
      throw new Error(`${path} cannot be read: ${(err as NodeJS.ErrnoException).code}`, { cause: err })
    }
    if (!pems[name].includes('-----BEGIN ')) throw new Error(`${path} is no PEM file`)
  }
  return pems
}
