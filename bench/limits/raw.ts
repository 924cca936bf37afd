import { createHash, randomUUID } from 'node:crypto'
import pg from 'pg'
import { newId } from '../../server/keys/ids.js'
import { sample, type Writer } from './writer.js'

/** The rows of a mutation in one statement that commits by itself: no check, no retry, no role, and no name. */
export function rawWriter(url: string): Writer {
  const pool = new pg.Pool({ connectionString: url, max: 8 })
  pool.on('error', () => {}) // idle clients end with PostgreSQL
  return {
    async write(tenantId, displayName) {
      const requestId = randomUUID()
      await pool.query(textFor(tenantId), [
        tenantId,
        displayName,
        requestId,
        createHash('sha256').update(requestId).digest(),
        sample.answer,
        newId('evt'),
        sample.payload,
        sample.traceparent,
        requestId,
        sample.entry,
      ])
    },
    end: () => pool.end(),
  }
}

const textFor = (tenantId: string) => `
  with counter as (
    update platform.tenant_counters set domain_sequence = domain_sequence + 1, audit_seq = audit_seq + 1
    where tenant_id = $1 returning domain_sequence, audit_seq
  ), tenant as (
    update platform.tenants set display_name = $2, row_version = row_version + 1, update_time = now() where id = $1
  ), claim as (
    insert into platform.idempotency_keys (caller, method, request_id, tenant_id, request_hash, done, answer)
    values ('bench', 'UpdateTenant', $3, $1, $4, true, $5)
  ), event as (
    insert into platform.events
      (tenant_id, stream, sequence, time, id, type, subject, payload, traceparent, correlation_id, causation_id)
    select $1, 'domain', domain_sequence, clock_timestamp(), $6, 'com.enterprise.customer.tenant.updated.v1', '', $7, $8, $9, '' from counter
  )
  insert into t_${tenantId.slice(4)}.audit_entries (audit_seq, time, entry) select audit_seq, clock_timestamp(), $10 from counter`
