import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import {
  TenantCreated,
  TenantDeleted,
  TenantPurged,
  TenantRestored,
  TenantResumed,
  TenantSuspended,
  TenantUpdated,
} from '../../../gen/customer/tenant/v1/tenant_events.js'
import type { Actor } from '../../../gen/customer/type/v1/actor.js'
import type { PayloadEvent } from '../../outbox/append.js'

/** What events tell of a tenant: the columns of its row that Billing, which may not call, needs as they are now. */
export interface TenantEventFields {
  readonly id: string
  readonly slug: string
  readonly display_name: string
  readonly state: 'ACTIVE' | 'SUSPENDED' | 'DELETED'
  readonly plan: string
  readonly region: string
  readonly labels: Readonly<Record<string, string>>
  readonly billing_email: string
  readonly security_email: string
  readonly create_time: Date
  readonly suspend_time: Date | null
  readonly delete_time: Date | null
  readonly purge_time: Date | null
}

const states: Record<TenantEventFields['state'], TenantState> = {
  ACTIVE: TenantState.TENANT_STATE_ACTIVE,
  SUSPENDED: TenantState.TENANT_STATE_SUSPENDED,
  DELETED: TenantState.TENANT_STATE_DELETED,
}

/** Field by field, so that a new column (a reason, a hold) reaches no topic by itself. */
const payload = (row: TenantEventFields, { type, id }: Actor) => ({
  tenantId: row.id,
  slug: row.slug,
  displayName: row.display_name,
  state: states[row.state],
  plan: row.plan,
  region: row.region,
  labels: { ...row.labels },
  contacts: { billingEmail: row.billing_email, securityEmail: row.security_email },
  createTime: row.create_time,
  suspendTime: row.suspend_time ?? undefined,
  deleteTime: row.delete_time ?? undefined,
  purgeTime: row.purge_time ?? undefined,
  actor: { type, id },
})

export const tenantCreated = (row: TenantEventFields, actor: Actor): PayloadEvent<TenantCreated> => ({
  message: TenantCreated,
  value: payload(row, actor),
})

/** @param changedFields proto names of the fields that changed; `contacts` for either mailbox */
export const tenantUpdated = (row: TenantEventFields, actor: Actor, changedFields: readonly string[]): PayloadEvent<TenantUpdated> => ({
  message: TenantUpdated,
  value: { ...payload(row, actor), changedFields: [...changedFields] },
})

export const tenantSuspended = (row: TenantEventFields, actor: Actor): PayloadEvent<TenantSuspended> => ({
  message: TenantSuspended,
  value: payload(row, actor),
})

export const tenantResumed = (row: TenantEventFields, actor: Actor): PayloadEvent<TenantResumed> => ({
  message: TenantResumed,
  value: payload(row, actor),
})

export const tenantDeleted = (row: TenantEventFields, actor: Actor): PayloadEvent<TenantDeleted> => ({
  message: TenantDeleted,
  value: payload(row, actor),
})

export const tenantRestored = (row: TenantEventFields, actor: Actor): PayloadEvent<TenantRestored> => ({
  message: TenantRestored,
  value: payload(row, actor),
})

/** `purge_time` is when it was. */
export const tenantPurged = (row: TenantEventFields, actor: Actor): PayloadEvent<TenantPurged> => ({
  message: TenantPurged,
  value: payload(row, actor),
})
