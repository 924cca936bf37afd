import type { Tenant } from '../../gen/customer/tenant/v1/tenant.js'

const times = ['create_time', 'suspend_time', 'delete_time', 'purge_time'] as const

/** What a `tenant.*` event must tell of a tenant, field by field; actor, changed fields and the spelling of times are taken from the event. */
export function expectedPayload(tenant: Tenant, data: Record<string, unknown>): Record<string, unknown> {
  const moments = {
    create_time: tenant.createTime,
    suspend_time: tenant.suspendTime,
    delete_time: tenant.deleteTime,
    purge_time: tenant.purgeTime,
  }
  const told = times.flatMap((name) => {
    const at = moments[name]
    if (at === undefined) return []
    const text = String(data[name])
    return [[name, Date.parse(text) === at.getTime() ? text : at.toISOString()]]
  })
  const { actor, changed_fields } = data
  return {
    tenant_id: tenant.id,
    slug: tenant.slug,
    display_name: tenant.displayName,
    state: tenant.state,
    plan: tenant.plan,
    region: tenant.region,
    labels: tenant.labels,
    contacts: { billing_email: tenant.contacts?.billingEmail ?? '', security_email: tenant.contacts?.securityEmail ?? '' },
    ...Object.fromEntries(told),
    actor,
    ...(changed_fields === undefined ? {} : { changed_fields }),
  }
}
