import type { MethodPolicy } from '../contract/policy.js'
import type { AccessRow } from '../db/call.js'
import { credentialInvalid } from './authenticate.layer.js'
import type { Call, Layer, Principal } from './call.js'
import { Fault } from './fault.js'

/**
 * Scope and permission first; then a tenant's principal that names another tenant is refused, existing or not, in the same words. An empty
 * tenant_id, or that of a message that did not decode, is left to the validation. Settles the call's tenant, and what the first flight judges.
 */
export function authorizeLayer(): Layer {
  return (next) => (request, call) => {
    const { policy, principal } = call
    permit(policy, principal, principal.scopes)
    const tenantId = tenantIdOf(request)
    if (principal.tenantId !== '' && tenantId !== '' && tenantId !== principal.tenantId) {
      throw new Fault('TENANT_FOREIGN', 'you may act in your own tenant only')
    }
    // What has not been validated is kept out of the log.
    if (tenantId !== '' && call.violationsTotal === 0) call.log['tenant'] = tenantId
    const settled: Call = { ...call, tenantId, judge: (access) => judge(settled, access) }
    return next(request, settled)
  }
}

function tenantIdOf(request: unknown): string {
  const { tenantId } = request as { tenantId?: unknown }
  return typeof tenantId === 'string' ? tenantId : ''
}

/** Throws unless these rights (as cached, or as committed) open the RPC to this principal. */
function permit(policy: MethodPolicy, principal: Principal, held: readonly string[]): void {
  const { scopes } = policy
  if (scopes.includes('PUBLIC')) return
  if (principal.type === 'anonymous') throw new Fault('CREDENTIAL_MISSING', 'a credential is needed')
  if (scopes.includes('AUTHENTICATED')) return
  const platform = principal.tenantId === ''
  if (!platform && scopes.includes('SELF')) return
  // A tenant's role opens nothing of the platform, whatever it contains.
  const would = platform ? policy.permissions : policy.permissions.filter((it) => !it.startsWith('platform-'))
  const reachable = scopes.includes('TENANT') || (platform && scopes.includes('PLATFORM'))
  if (reachable && would.some((it) => held.includes(it) || (platform && held.includes('*')))) return
  const permission = (platform && would.find((it) => it.startsWith('platform-'))) || would[0] || policy.permissions[0] || ''
  throw new Fault('PERMISSION_MISSING', 'you lack the permission for this', { permission })
}

/** Decides again, by what is committed; in the first flight of every transaction, before any answer is released. */
function judge(call: Call, access: AccessRow): void {
  const { policy, principal } = call
  if (!policy.scopes.includes('PUBLIC')) {
    if (!access.key_valid) throw credentialInvalid()
    permit(policy, principal, access.scopes)
  }
  if (call.tenantId === '') return
  if (access.tenant_state === null) throw new Fault('TENANT_NOT_FOUND', 'there is no such tenant')
  if (access.tenant_state === 'SUSPENDED' && principal.tenantId !== '') throw new Fault('TENANT_SUSPENDED', 'the tenant is suspended')
  if (access.tenant_state === 'DELETED' && !policy.whileDeleted) {
    const metadata: Record<string, string> = access.purge_time ? { purge_time: access.purge_time.toISOString() } : {}
    throw new Fault('TENANT_DELETED', 'the tenant is deleted; undelete it first', metadata)
  }
}
