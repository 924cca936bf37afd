import type { Socket } from 'node:net'
import type pg from 'pg'
import type { Batch, Result } from '../../server/db/batch.js'
import { builder } from '../../server/db/builder.js'
import type { AccessRow, DbCall } from '../../server/db/call.js'
import { schemaOf } from '../../server/db/in-tenant.js'
import type { PgConnection } from '../../server/db/pool.js'
import { expecting, mustFind, type Statement, statement } from '../../server/db/statement.js'
import type { PlatformTables, TenantTables } from '../../server/db/tables.js'
import type { TenantTx } from '../../server/db/tx.js'

const stream = { cork() {}, uncork() {}, destroyed: false } as unknown as Socket
const nothing: PgConnection = { stream, close() {}, parse() {}, bind() {}, describe() {}, execute() {}, sync() {} }

/** A transaction that sends nothing: what its repos would send is in `sent`. */
export function recordingTx(tenantId: string, sent: Statement[], now: Date) {
  const owner = Symbol('sample')
  const run = async (query: Statement) => {
    sent.push(query)
    return { rows: [], rowCount: 0 } as unknown as Result
  }
  const compiled = (query: unknown): Statement => {
    const { sql, parameters, role } = (
      typeof (query as { compile?: unknown }).compile === 'function' ? (query as { compile(): unknown }).compile() : query
    ) as {
      sql: string
      parameters: unknown[]
      role?: string
    }
    return statement(sql, parameters, role)
  }
  const schema = schemaOf(tenantId)
  const tx = {
    call: { method: 'm', principal: { id: 'psa', type: 'platform-service-account', keyId: 'pky' }, claim: { requestId: 'r' } } as DbCall,
    tenantId,
    tenant: builder<TenantTables>(schema, schema, owner, run),
    platform: builder<PlatformTables>('platform', 'platform_app', owner, run),
    now: Promise.resolve(now),
    access: Promise.resolve({ access_revision: '0', session_epoch: '0', platform_revision: '0' } as AccessRow),
    filled: (template: object, parameters: readonly unknown[]) => ({ ...template, parameters, role: 'platform_app' }),
    read: async (query: unknown) => (await run(compiled(query))).rows,
    last: async (query: unknown) => (await run(compiled(query))).rows,
    lookUp: async (query: unknown) => (await run(compiled(query))).rows,
    later: (query: unknown, rows?: number) => void sent.push(rows === undefined ? compiled(query) : expecting(compiled(query), rows)),
    behindCounter: (query: unknown, rows: number) => void sent.push(expecting(compiled(query), rows)),
    guard: (query: unknown) => void sent.push(mustFind(compiled(query))),
    emit: () => {},
    audit: () => {},
    invalidate: () => {},
  } as unknown as TenantTx
  // What a repo sends outside of calls goes through `flight`: a client that records.
  const client = {
    connection: nothing,
    readyForQuery: true,
    getTransactionStatus: () => 'I',
    release() {},
    query(batch: Batch) {
      const texts: string[] = []
      batch.submit({
        ...nothing,
        parse: ({ text }) => void texts.push(text),
        bind({ values }) {
          const text = texts.at(-1)!
          if (!/^(begin|commit|set local)/.test(text)) sent.push({ role: undefined, text, values })
        },
      })
      for (const text of texts) {
        batch.handleDataRow({ fields: [] })
        batch.handleCommandComplete({ text: text === 'commit' ? 'COMMIT' : 'SELECT 1' })
      }
      batch.handleReadyForQuery()
    },
  }
  return { tx, pool: { connect: async () => client } as unknown as pg.Pool }
}
