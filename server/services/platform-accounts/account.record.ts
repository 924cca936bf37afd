import type { PlatformTx } from '../../db/tx.js'
import { type AuditFacts, appendAudit } from '../../trail/append.js'

/** Whatever changes an account or a key stands in the platform's trail, and voids all rights that were read before. */
function record(tx: PlatformTx, target: string, facts: Omit<AuditFacts, 'target'> = {}): void {
  tx.invalidate('access')
  appendAudit(tx, { ...facts, target })
}

export const recordAccount = (tx: PlatformTx, { id }: { readonly id: string }, facts?: Omit<AuditFacts, 'target'>) =>
  record(tx, `platform/serviceAccounts/${id}`, facts)

export const recordKey = (tx: PlatformTx, { id }: { readonly id: string }) => record(tx, `platform/apiKeys/${id}`)
