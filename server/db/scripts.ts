import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

/** One checked-in migration. */
export interface Script {
  readonly version: number
  readonly sql: string
  /** SHA-256 over the text with line ends normalised. */
  readonly checksum: string
}

function scriptsOf(folder: 'platform' | 'tenant'): readonly Script[] {
  const place = new URL(`./migrations/${folder}/`, import.meta.url)
  return readdirSync(place)
    .filter((name) => /^\d{4}\.sql$/.test(name))
    .sort()
    .map((name) => {
      const sql = readFileSync(new URL(name, place), 'utf8').replaceAll('\r\n', '\n')
      return { version: Number(name.slice(0, 4)), sql, checksum: createHash('sha256').update(sql).digest('hex') }
    })
}

export const platformScripts = scriptsOf('platform')
export const tenantScripts = scriptsOf('tenant')

/** What this code makes and expects; a database may be one version away from it, either way. */
export const platformVersion = platformScripts.at(-1)?.version ?? 0
export const tenantVersion = tenantScripts.at(-1)?.version ?? 0
