import { newId } from '../keys/ids.js'
import type { AccessRow, DbCall } from './call.js'
import { expecting, type Statement, statement } from './statement.js'
import type { NewEvent } from './tx.js'

/** What the transaction is bound to. `schema` is the tenant's, undefined for the platform's own work. */
export interface Binding {
  readonly tenantId: string
  readonly schema: string | undefined
  /** Statements that make the tenant, between the platform's writes and the tenant's (inNewTenant). */
  readonly making: readonly Statement[]
}

/** All that a handler collected, and what it was authorised under. */
export interface Work {
  readonly call: DbCall
  readonly binding: Binding
  readonly access: AccessRow
  /** The encoded answer, for the idempotency record. */
  readonly answer: Uint8Array | undefined
  readonly clockShift: string
  readonly writes: readonly Statement[]
  readonly guards: readonly Statement[]
  readonly events: readonly NewEvent[]
  readonly audits: readonly string[]
  /** How far access_revision and session_epoch move. */
  readonly moved: readonly [number, number]
}

const app = 'platform_app'

/**
 * The second flight, less its COMMIT: writes before the counter (behind it they would deadlock), guards behind it; the platform's first each time,
 * so that roles switch seldom.
 */
export function closingStatements(work: Work): Statement[] {
  const { plain, sealed } = kept(work)
  const ofPlatform = (list: readonly Statement[]) => list.filter(({ role }) => role === app)
  const ofTenant = (list: readonly Statement[]) => list.filter(({ role }) => role !== app).map(only)
  const isNew = work.binding.making.length > 0
  const only = (one: Statement): Statement => (isNew ? { ...one, once: true } : one)
  return [
    ...ofPlatform(work.writes),
    ...work.binding.making,
    ...ofTenant(work.writes),
    ...sealed,
    publication({ ...work, answer: plain }),
    ...ofPlatform(work.guards),
    ...ofTenant(work.guards),
    ...invalidation(work),
    ...trail(work).map(only),
  ]
}

/** Of an answer with secrets only the rest goes into the record; the whole goes beside it, sealed. */
function kept({ call: { claim, principal, method }, answer }: Work): { plain: Uint8Array | undefined; sealed: Statement[] } {
  if (!answer || !claim?.sealing) return { plain: answer, sealed: [] }
  const plain = claim.sealing.withoutSecrets(answer)
  if (Buffer.compare(plain, answer) === 0) return { plain, sealed: [] }
  const text = 'insert into platform.sealed_answers (caller, method, request_id, sealed) values ($1, $2, $3, $4)'
  return { plain, sealed: [statement(text, [principal.id, method, claim.requestId, claim.sealing.seal(answer)], app)] }
}

/** The counter, the guard of the revisions, the events and the stored answer. */
function publication({ call, binding, access, answer, clockShift, events, audits, moved }: Work): Statement {
  const { claim, principal } = call
  const isNew = binding.making.length > 0
  // of the platform's own work `platform_seen` is the whole guard
  const seen = isNew ? [0, 0] : binding.schema ? [access.access_revision, access.session_epoch] : null
  return statement(
    'select platform.publish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)',
    [
      binding.tenantId,
      audits.length,
      moved,
      seen,
      access.platform_revision,
      claim ? [principal.id, call.method, claim.requestId] : null,
      answer === undefined ? null : Buffer.from(answer),
      clockShift,
      call.traceparent,
      call.requestId,
      events.map(({ stream }) => stream),
      events.map(() => newId('evt')),
      events.map(({ type }) => type),
      events.map(({ subject }) => subject),
      events.map(({ payload }) => payload),
    ],
    app,
  )
}

/** The pseudo-tenant's counter row is the original of its revisions; a tenant keeps its own beside its rights. */
function invalidation({ binding: { schema }, moved }: Work): Statement[] {
  if (schema === undefined || !moved.includes(1)) return []
  const text = `update ${schema}.tenant_state set access_revision = access_revision + $1, session_epoch = session_epoch + $2`
  return [expecting(statement(text, moved, schema), 1)]
}

/** A statement of its own behind the counter: its snapshot is taken while we hold that, so the last entry is the last. */
function trail({ binding: { schema }, audits, clockShift }: Work): Statement[] {
  if (audits.length === 0) return []
  const table = schema === undefined ? 'platform.platform_audit' : `${schema}.audit_entries`
  const text = `insert into ${table} (audit_seq, time, entry) select coalesce((select max(audit_seq) from ${table}), 0) + a.nth,
    clock_timestamp() + $2::interval, a.entry from unnest($1::text[]) with ordinality a(entry, nth)`
  return [statement(text, [audits, clockShift], schema ?? app)]
}
