import type { DbCall } from '../db/call.js'
import type { PlatformTx } from '../db/tx.js'
import { newId } from '../keys/ids.js'

/** What a mutation adds to its entry in the trail; the rest is the call's. */
export interface AuditFacts {
  /** Why, as the caller said. */
  readonly reason?: string
  /** What was acted on, where it is not the tenant itself: `invitations/inv_…`. */
  readonly target?: string
  /** Proto names of the fields that changed. */
  readonly changedFields?: readonly string[]
}

/** Appends the mutation's entry: it commits with the work or not at all; its gapless audit_seq and its time come from behind the tenant's counter. */
export function appendAudit(tx: Pick<PlatformTx, 'audit' | 'call' | 'tenantId'>, facts: AuditFacts = {}): void {
  tx.audit(auditEntry(tx.call, tx.tenantId, facts))
}

/** The entry's text, for the trail of this tenant, or of `platform`. */
export function auditEntry(
  { auditAction, principal, requestId }: DbCall,
  tenantId: string,
  { reason, target, changedFields }: AuditFacts,
): string {
  return JSON.stringify({
    id: newId('aud'),
    action: auditAction,
    tenant_id: tenantId,
    actor: { type: principal.type, id: principal.id, key_id: principal.keyId },
    request_id: requestId,
    ...(target === undefined ? {} : { target }),
    ...(reason ? { reason } : {}),
    ...(changedFields === undefined ? {} : { changed_fields: changedFields }),
  })
}
