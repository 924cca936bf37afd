import { canonicalEmail } from '../../contract/canonical.js'
import { Fault, fieldInvalid } from '../../rpc/fault.js'
import type { TenantRow } from './tenants.table.js'

export interface NewTenant {
  readonly id: string
  readonly slug: string
  readonly display_name: string
  readonly plan: string
  readonly region: string
  readonly labels: Readonly<Record<string, string>>
  readonly billing_email: string | null
  readonly security_email: string | null
  readonly create_time: Date
  readonly update_time: Date
}

/** What the server offers, from its configuration. */
export interface TenantOptions {
  readonly plans: readonly string[]
  readonly regions: readonly string[]
  /** Of the schemas that this server makes. */
  readonly schemaVersion: number
  /** From DeleteTenant to the purge that happens by itself. */
  readonly purgeAfterDays: number
  /** From DeleteTenant to the first PurgeTenant that is heard. */
  readonly purgeWaitHours: number
}

/** A tenant as it is when it is made: ACTIVE, version 1. */
export const newTenantRow = (tenant: Omit<NewTenant, 'create_time' | 'update_time'>, now: Date, schemaVersion: number): TenantRow => ({
  ...tenant,
  purge_hold: false,
  suspend_reason: null,
  state: 'ACTIVE',
  schema_version: schemaVersion,
  row_version: '1',
  access_revision: '0',
  create_time: now,
  update_time: now,
  suspend_time: null,
  delete_time: null,
  purge_time: null,
})

/** A role mailbox in its canonical form; null: none, undefined: not named. */
export function mailbox(field: string, text: string | undefined): string | null | undefined {
  if (text === undefined) return undefined
  const email = canonicalEmail(text)
  if (email === undefined) throw fieldInvalid(field, 'must be a mail address')
  return email === '' ? null : email
}

export interface TenantFilter {
  readonly state: TenantRow['state'] | undefined
  readonly plan: string
  readonly region: string
  readonly labelKey: string
  readonly labelValue: string
  readonly afterCreateTime: Date | undefined
  readonly beforeCreateTime: Date | undefined
  readonly showDeleted: boolean
  readonly order: 'create_time_desc' | 'create_time_asc' | 'slug_asc'
}

/** Where a page ended. `at` is create_time as the database writes it, with microseconds. */
export interface TenantPosition {
  readonly at: string
  readonly slug: string
  readonly id: string
}

/** What callers send back to guard an update. */
export const etagOf = (row: Pick<TenantRow, 'row_version'>) => row.row_version

export function checkEtag(row: Pick<TenantRow, 'row_version'>, etag: string): void {
  if (etag !== '' && etag !== etagOf(row)) throw new Fault('ETAG_STALE', 'it changed since it was read; read it again')
}

/** The next version of a row. Every change of state raises the revision of rights (`tx.invalidate('access')` beside it). */
const touched = (row: TenantRow, now: Date): TenantRow => ({ ...row, row_version: String(BigInt(row.row_version) + 1n), update_time: now })
const restated = (row: TenantRow, now: Date): TenantRow => {
  const next = touched(row, now)
  const state = next.delete_time ? 'DELETED' : next.suspend_time ? 'SUSPENDED' : 'ACTIVE'
  return { ...next, state, access_revision: String(BigInt(row.access_revision) + 1n) }
}

export interface Change {
  readonly etag: string
  readonly now: Date
}

/** undefined: it is suspended already. */
export function suspend(row: TenantRow, { etag, reason, now }: Change & { reason: string }): TenantRow | undefined {
  if (row.suspend_time) return undefined
  checkEtag(row, etag)
  return restated({ ...row, suspend_time: now, suspend_reason: reason }, now)
}

/** undefined: it is not suspended. */
export function resume(row: TenantRow, { etag, now }: Change): TenantRow | undefined {
  if (!row.suspend_time) return undefined
  checkEtag(row, etag)
  return restated({ ...row, suspend_time: null, suspend_reason: null }, now)
}

/** undefined: it is deleted already. */
export function remove(row: TenantRow, { etag, now, purgeAfterDays }: Change & { purgeAfterDays: number }): TenantRow | undefined {
  if (row.delete_time) return undefined
  checkEtag(row, etag)
  return restated({ ...row, delete_time: now, purge_time: new Date(now.getTime() + purgeAfterDays * 86_400_000) }, now)
}

/** Back to the state from before; undefined: it is not deleted. */
export function undelete(row: TenantRow, { etag, now }: Change): TenantRow | undefined {
  if (!row.delete_time) return undefined
  checkEtag(row, etag)
  return restated({ ...row, delete_time: null, purge_time: null }, now)
}

const notDeleted = () => new Fault('TENANT_NOT_DELETED', 'only a deleted tenant can be purged; delete it first')

/** Throws unless PurgeTenant may purge it now. */
export function checkPurge(
  row: TenantRow,
  { etag, confirmSlug, now, purgeWaitHours }: Change & { confirmSlug: string; purgeWaitHours: number },
): void {
  if (!row.delete_time) throw notDeleted()
  checkEtag(row, etag)
  if (confirmSlug !== row.slug) {
    const description = "is not the tenant's slug"
    throw new Fault('SLUG_NOT_CONFIRMED', `confirm_slug ${description}`, {}, { violations: [{ field: 'confirm_slug', description }] })
  }
  checkHoldAndTime(row, now, new Date(row.delete_time.getTime() + purgeWaitHours * 3_600_000))
}

/** Throws unless its purge_time has come. */
export function checkDue(row: TenantRow, now: Date): void {
  if (!row.purge_time) throw notDeleted()
  checkHoldAndTime(row, now, row.purge_time)
}

function checkHoldAndTime(row: TenantRow, now: Date, allowed: Date): void {
  if (row.purge_hold) throw new Fault('PURGE_HELD', 'purge_hold is set: nothing purges the tenant')
  if (now < allowed) {
    const allowed_time = allowed.toISOString()
    throw new Fault('PURGE_TOO_EARLY', `the tenant was deleted too short a time ago; it can be purged from ${allowed_time} on`, {
      allowed_time,
    })
  }
}

/** The rows in the order of their ids; throws, naming the first 20 that are not found. */
export function inOrderOf(ids: readonly string[], rows: readonly TenantRow[]): TenantRow[] {
  const byId = new Map(rows.map((row) => [row.id, row]))
  const missing = ids.filter((id) => !byId.has(id))
  if (missing.length > 0) {
    const metadata = { tenant_ids: missing.slice(0, 20).join(','), not_found_total: String(missing.length) }
    throw new Fault('TENANT_NOT_FOUND', `${missing.length} of the ${ids.length} tenants are not there`, metadata)
  }
  return ids.flatMap((id) => byId.get(id) ?? [])
}

/** What an update names; undefined or absent: stays. */
export interface TenantPatch {
  readonly display_name?: string | undefined
  readonly plan?: string | undefined
  readonly purge_hold?: boolean | undefined
  readonly billing_email?: string | null | undefined
  readonly security_email?: string | null | undefined
  /** An entry is set, one with the value '' is removed. */
  readonly labels: Readonly<Record<string, string>>
}

const labelsMax = 64
const plain = ['display_name', 'plan', 'purge_hold'] as const
const mailboxes = ['billing_email', 'security_email'] as const

/** Proto names of the fields that a patch names. */
export function namedFields(patch: TenantPatch): string[] {
  const named: string[] = plain.filter((name) => patch[name] !== undefined)
  if (Object.keys(patch.labels).length > 0) named.push('labels')
  if (mailboxes.some((name) => patch[name] !== undefined)) named.push('contacts')
  return named
}

/** The row after the patch and the proto names of what changed; none: nothing to write. */
export function patched(row: TenantRow, patch: TenantPatch, { etag, now }: Change): { next: TenantRow; changedFields: string[] } {
  checkEtag(row, etag)
  const labels = mergedLabels(row.labels, patch.labels)
  const next: TenantRow = {
    ...row,
    display_name: patch.display_name ?? row.display_name,
    plan: patch.plan ?? row.plan,
    purge_hold: patch.purge_hold ?? row.purge_hold,
    billing_email: patch.billing_email === undefined ? row.billing_email : patch.billing_email,
    security_email: patch.security_email === undefined ? row.security_email : patch.security_email,
    labels,
  }
  const changedFields: string[] = plain.filter((name) => next[name] !== row[name])
  if (!sameLabels(labels, row.labels)) changedFields.push('labels')
  if (mailboxes.some((name) => next[name] !== row[name])) changedFields.push('contacts')
  return { next: changedFields.length > 0 ? touched(next, now) : row, changedFields }
}

function mergedLabels(old: Readonly<Record<string, string>>, patch: Readonly<Record<string, string>>): Record<string, string> {
  const merged = new Map(Object.entries(old))
  for (const [key, value] of Object.entries(patch)) {
    if (value === '') merged.delete(key)
    else merged.set(key, value)
  }
  if (merged.size > labelsMax) {
    throw fieldInvalid('labels', `at most ${labelsMax} labels are kept; this would make ${merged.size}`)
  }
  return Object.fromEntries(merged)
}

const sameLabels = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>) => {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
}

/** One of the names that the server offers; '' means the first. */
export function chosen(field: 'plan' | 'region', name: string, offered: readonly string[]): string {
  const choice = name === '' ? offered[0] : offered.find((each) => each === name)
  if (choice === undefined) {
    const description = `must be one of ${offered.join(', ')}`
    throw new Fault(
      'OPTION_UNKNOWN',
      `${field}: ${description}`,
      { field, allowed: offered.join(',') },
      { violations: [{ field, description }] },
    )
  }
  return choice
}

export interface SlugHolder {
  readonly tenant_id?: string
  readonly reason: TenantRow['state'] | 'reserved' | 'retired'
}

/** Why a slug cannot be had. */
export function slugFault(holder: SlugHolder): Fault {
  if (holder.reason === 'reserved') return new Fault('SLUG_RESERVED', 'this word is kept for the platform')
  if (holder.reason === 'retired') return new Fault('SLUG_RETIRED', 'a purged tenant had this slug; it is never free again')
  if (holder.reason === 'DELETED') {
    const message = 'a deleted tenant still has this slug; UndeleteTenant brings it back'
    return new Fault('SLUG_TAKEN_BY_DELETED', message, { tenant_id: holder.tenant_id ?? '' })
  }
  return new Fault('SLUG_TAKEN', 'a tenant has this slug')
}
