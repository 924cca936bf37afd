import type { DbCall } from './call.js'
import { type Statement, statement } from './statement.js'

const app = 'platform_app'
const begin = statement('begin isolation level read committed')
const beginReading = statement('begin isolation level read committed read only')
const sessionState = `select now, key_valid, scopes, tenant_state, purge_time, platform_revision, access_revision, session_epoch
  from platform.access($1, $2, $3)`
const claiming = 'select hash, done, answer from platform.claim($1, $2, $3, $4, $5)'

/** The first flight, less the reads that ride with it: BEGIN, the claim where there is one, and what the caller may do now. */
export function openingStatements(
  { claim, principal, method, tenantId, auditAction }: DbCall,
  boundTo: string,
  clockShift: string,
): Statement[] {
  return [
    auditAction === '' ? beginReading : begin,
    ...(claim ? [statement(claiming, [principal.id, method, claim.requestId, Buffer.from(claim.hash), boundTo], app)] : []),
    statement(sessionState, [principal.keyId, tenantId, clockShift], app),
  ]
}
