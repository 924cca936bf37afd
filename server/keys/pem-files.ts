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

/** A file that the configuration names is not there, or is something else. */
export class PemError extends Error {
  override readonly name = 'PemError'
}

/** @throws PemError that names the file */
export function readPems(files: PemFiles): Pems {
  const pems: Pems = { rejectUnauthorized: true }
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = files[name]
    if (path === undefined) continue
    try {
      pems[name] = readFileSync(path, 'utf8')
    } catch (err) {
      throw new PemError(`${path} cannot be read: ${(err as NodeJS.ErrnoException).code}`, { cause: err })
    }
    if (!pems[name].includes('-----BEGIN ')) throw new PemError(`${path} is no PEM file`)
  }
  return pems
}
