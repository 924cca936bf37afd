import { createHash, randomUUID } from 'node:crypto'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { TenantServiceService, UpdateTenantRequest } from '../../gen/customer/tenant/v1/tenant_service.js'
import { openDatabase } from '../../server/db/database.js'
import type { Call } from '../../server/rpc/call.js'
import { updateTenant } from '../../server/services/tenants/update-tenant.js'
import { sample, type Writer } from './writer.js'

/** Ours without the network: the handler of UpdateTenant and its transaction. Eight connections, like the others. */
export function kernelWriter(url: string): Writer {
  const db = openDatabase({ url, max: 8, named: true })
  const handle = updateTenant(db, { plans: ['standard'] })
  const signal = new AbortController().signal
  return {
    async write(tenantId, displayName) {
      const request = UpdateTenantRequest.fromPartial({ tenantId, displayName })
      const requestId = randomUUID()
      const hash = createHash('sha256').update(UpdateTenantRequest.encode(request).finish()).digest()
      const claim = {
        requestId,
        hash,
        encode: (answer: unknown) => Tenant.encode(answer as Tenant).finish(),
        decode: (bytes: Uint8Array) => Tenant.decode(bytes),
      }
      // What the handler and the transaction see of a call; the rest belongs to the layers.
      const call: Partial<Call> = {
        method: TenantServiceService.updateTenant.path,
        auditAction: 'tenant.update',
        principal: { id: 'psa_bench', type: 'platform-service-account', keyId: 'pky_bench', tenantId: '', scopes: ['*'] },
        tenantId,
        deadline: Number.POSITIVE_INFINITY,
        signal,
        requestId,
        traceparent: sample.traceparent,
        claim,
        validateOnly: false,
        judge: () => {},
      }
      await handle(request, call as Call)
    },
    end: () => db.pool.end(),
  }
}
