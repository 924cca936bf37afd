import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { inject } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { type Clients, connect } from './client.js'

/** The one server of the rpc project. Each file onboards its own tenant in it, and counts nothing beyond that. */
export function theServer() {
  const server = inject('server')
  if (!server) throw new Error('no PostgreSQL: see the line at the start')
  return server
}

export const theClients = (headers?: Record<string, string>): Clients => {
  const { address, key } = theServer()
  return connect(address, key, headers)
}

let pool: pg.Pool | undefined
/** The app's login in the rpc server's database, past any pooler; one pool a worker. */
export const thePool = (): pg.Pool => {
  pool ??= openPool({ url: theServer().appUrl, max: 2 })
  return pool
}

let superuserPool: pg.Pool | undefined
export const theSuperuser = (): pg.Pool => {
  superuserPool ??= openPool({ url: theServer().superuserUrl, max: 2 })
  return superuserPool
}

/** Never used before, also by another file or run. */
export const newSlug = (name = 'acme') => `${name}-${randomUUID().slice(0, 13)}`

export const onboard = (clients: Clients, more: Parameters<Clients['tenants']['createTenant']>[0] = {}) =>
  clients.tenants.createTenant({
    slug: newSlug(),
    displayName: 'Acme Ltd',
    ownerEmail: 'owner@acme.example',
    requestId: randomUUID(),
    ...more,
  })
