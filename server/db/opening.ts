import { Fault } from '../rpc/fault.js'
import type { Result } from './batch.js'
import type { Claim, DbCall } from './call.js'
import { Replay } from './failures.js'
import { type Statement, statement } from './statement.js'

const app = 'platform_app'
const begin = statement('begin isolation level read committed')
const beginReading = statement('begin isolation level read committed read only')
const sessionState = `select now, key_valid, scopes, tenant_state, purge_time, platform_revision, access_revision, session_epoch
  from platform.access($1, $2, $3)`
const claiming = 'select hash, done, answer from platform.claim($1, $2, $3, $4, $5)'
const readingSealed = `select sealed from platform.sealed_answers where caller = $1 and method = $2 and request_id = $3
  and create_time > now() + $4::interval - interval '10 minutes'`

/** The first flight, less the reads that ride with it: BEGIN, the claim where there is one, and what the caller may do now. */
export function openingStatements(
  { claim, principal, method, tenantId, auditAction }: DbCall,
  boundTo: string,
  clockShift: string,
): Statement[] {
  return [
    auditAction === '' ? beginReading : begin,
    ...(claim ? [statement(claiming, [principal.id, method, claim.requestId, Buffer.from(claim.hash), boundTo], app)] : []),
    ...(claim?.sealing ? [statement(readingSealed, [principal.id, method, claim.requestId, clockShift], app)] : []),
    statement(sessionState, [principal.keyId, tenantId, clockShift], app),
  ]
}

/**
 * What the first flight found under the claim.
 * @throws Replay with the answer of an earlier run, its secrets included for 10 minutes; Fault REQUEST_ID_REUSED
 */
export function checkClaim(claim: Claim, answered: readonly Result[]): void {
  const held = answered[1]?.rows[0] as { hash: Buffer; done: boolean; answer: Buffer }
  if (!held.hash.equals(claim.hash)) throw new Fault('REQUEST_ID_REUSED', 'this request_id came with another body before')
  if (!held.done) return
  const kept = claim.sealing && (answered[2]?.rows[0] as { sealed: string } | undefined)
  throw new Replay((kept && claim.sealing?.unseal(kept.sealed)) ?? held.answer)
}
