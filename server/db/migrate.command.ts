import type pg from 'pg'
import { migrate } from './migrate.js'

export interface LoginUrls {
  readonly app: string
  readonly migrator: string
  readonly relay: string
  readonly retention: string
}

/** `migrate` with the names of the logins taken from their URLs. */
export function migrateAs(urls: LoginUrls, ssl: pg.ClientConfig['ssl'], log: (line: string) => void, signal?: AbortSignal): Promise<void> {
  const login = (url: string) => decodeURIComponent(new URL(url).username)
  const logins = { app: login(urls.app), migrator: login(urls.migrator), relay: login(urls.relay), retention: login(urls.retention) }
  return migrate({ url: urls.migrator, logins, log, signal, ...(ssl === undefined ? {} : { ssl }) })
}
