import { createHash, randomUUID } from 'node:crypto'
import { type Generated, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { newId } from '../../server/keys/ids.js'
import { sample, type Writer } from './writer.js'

interface Tables {
  'platform.tenants': { id: string; slug: string; display_name: string; row_version: string; update_time: Date }
  'platform.tenant_counters': { tenant_id: string; domain_sequence: string; audit_seq: string }
  'platform.idempotency_keys': {
    caller: string
    method: string
    request_id: string
    tenant_id: string
    request_hash: Buffer
    done: Generated<boolean>
    answer: Buffer | null
  }
  'platform.events': {
    tenant_id: string
    stream: string
    sequence: string
    time: Date
    id: string
    type: string
    subject: string
    payload: string
    traceparent: string
    correlation_id: string
    causation_id: string
  }
}

/** The same rows as one usually writes them: a transaction of the query builder, each statement awaited. */
export function plainKyselyWriter(url: string): Writer {
  const pool = new pg.Pool({ connectionString: url, max: 8 })
  pool.on('error', () => {}) // idle clients end with PostgreSQL
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  const now = sql<Date>`clock_timestamp()`
  return {
    async write(tenantId, displayName) {
      const requestId = randomUUID()
      const key = { caller: 'bench', method: 'UpdateTenant', request_id: requestId }
      await db.transaction().execute(async (tx) => {
        const request_hash = createHash('sha256').update(requestId).digest()
        const claim = { ...key, tenant_id: tenantId, request_hash, answer: null }
        await tx
          .insertInto('platform.idempotency_keys')
          .values(claim)
          .onConflict((it) => it.doNothing())
          .execute()
        const row = await tx
          .selectFrom('platform.tenants')
          .select(['id', 'slug', 'display_name', 'row_version', 'update_time'])
          .where('id', '=', tenantId)
          .forUpdate()
          .executeTakeFirstOrThrow()
        await tx
          .updateTable('platform.tenants')
          .set({ display_name: displayName, row_version: String(BigInt(row.row_version) + 1n), update_time: now })
          .where('id', '=', tenantId)
          .execute()
        const { domain_sequence, audit_seq } = await tx
          .updateTable('platform.tenant_counters')
          .set((it) => ({ domain_sequence: it('domain_sequence', '+', '1'), audit_seq: it('audit_seq', '+', '1') }))
          .where('tenant_id', '=', tenantId)
          .returning(['domain_sequence', 'audit_seq'])
          .executeTakeFirstOrThrow()
        await tx
          .insertInto('platform.events')
          .values({
            tenant_id: tenantId,
            stream: 'domain',
            sequence: domain_sequence,
            time: now,
            id: newId('evt'),
            type: 'com.enterprise.customer.tenant.updated.v1',
            subject: '',
            payload: sample.payload,
            traceparent: sample.traceparent,
            correlation_id: requestId,
            causation_id: '',
          })
          .execute()
        const trail = sql.table(`t_${tenantId.slice(4)}.audit_entries`)
        await sql`insert into ${trail} (audit_seq, time, entry) values (${audit_seq}, ${now}, ${sample.entry})`.execute(tx)
        await tx
          .updateTable('platform.idempotency_keys')
          .set({ done: true, answer: sample.answer })
          .where((it) => it.and(key))
          .execute()
      })
    },
    end: () => db.destroy(),
  }
}
