import { declaredPermissions } from '../../contract/policies.js'
import { Fault, fieldInvalid } from '../../rpc/fault.js'
import { tenantPermissions } from '../roles/roles.rules.js'
import type { PlatformApiKeyRow, PlatformServiceAccountRow } from './platform-accounts.table.js'

/** All of them; the holder of the first key has it, and no RPC gives it. */
export const everything = '*'
export const managing = 'platform-manage-accounts'

/** What an account may be given: every permission that an RPC asks for, and what a tenant's role can hold. */
export const knownPermissions = (): string[] => [...new Set([...declaredPermissions(), ...tenantPermissions])].sort()

/** @throws Fault FIELD_INVALID for the first name that this service does not know */
export function checkKnown(permissions: readonly string[]): void {
  const known = knownPermissions()
  const strange = permissions.findIndex((name) => !known.includes(name))
  if (strange >= 0) throw fieldInvalid(`permissions[${strange}]`, 'must be a permission of this service')
}

const missing = (held: readonly string[], wanted: readonly string[]) =>
  held.includes(everything) ? undefined : wanted.find((name) => !held.includes(name))

/** Whoever holds all that there is: the first key must be revocable by another. */
const holdsAll = (held: readonly string[]) => knownPermissions().every((name) => held.includes(name))

/**
 * The grant ceiling: nobody grants what they do not hold. Judged by the rights of the first flight, which are still the same at COMMIT: every change
 * of an account or key moves the revision that the transaction was opened under.
 */
export function checkGrant(held: readonly string[], granted: readonly string[]): void {
  const permission = missing(held, granted)
  if (permission !== undefined) throw new Fault('GRANT_NOT_HELD', 'nobody grants what they do not hold', { permission })
}

/** Who acts on an account or its keys holds all that the account holds. */
export function checkRank(held: readonly string[], account: Pick<PlatformServiceAccountRow, 'permissions'>): void {
  const permission = missing(held, account.permissions)
  if (permission === everything && holdsAll(held)) return
  if (permission !== undefined) throw new Fault('TARGET_OUTRANKS_CALLER', 'the account holds more than you do', { permission })
}

/** An account as it is when it is made: ACTIVE, version 1. */
export const newAccount = (
  { id, display_name, permissions }: { id: string; display_name: string; permissions: readonly string[] },
  now: Date,
): PlatformServiceAccountRow => ({
  id,
  display_name,
  permissions: [...permissions].sort(),
  row_version: '1',
  create_time: now,
  update_time: now,
  suspend_time: null,
  delete_time: null,
})

export type PlatformServiceAccountState = 'ACTIVE' | 'SUSPENDED' | 'DELETED'

export const stateOf = ({ delete_time, suspend_time }: PlatformServiceAccountRow): PlatformServiceAccountState =>
  delete_time ? 'DELETED' : suspend_time ? 'SUSPENDED' : 'ACTIVE'

/** What callers send back to guard an update. */
export const etagOf = (row: Pick<PlatformServiceAccountRow, 'row_version'>) => row.row_version

function checkEtag(row: PlatformServiceAccountRow, etag: string): void {
  if (etag !== '' && etag !== etagOf(row)) throw new Fault('ETAG_STALE', 'the account changed since it was read; read it again')
}

/** @throws Fault PLATFORM_SERVICE_ACCOUNT_DELETED */
export function checkThere(row: PlatformServiceAccountRow): void {
  if (row.delete_time) throw new Fault('PLATFORM_SERVICE_ACCOUNT_DELETED', 'the account is deleted, for good')
}

interface Change {
  readonly etag: string
  readonly now: Date
}

const touched = (row: PlatformServiceAccountRow, now: Date): PlatformServiceAccountRow => ({
  ...row,
  row_version: String(BigInt(row.row_version) + 1n),
  update_time: now,
})

/** undefined: it is suspended already. */
export function suspend(row: PlatformServiceAccountRow, { etag, now }: Change): PlatformServiceAccountRow | undefined {
  checkThere(row)
  if (row.suspend_time) return undefined
  checkEtag(row, etag)
  return touched({ ...row, suspend_time: now }, now)
}

/** undefined: it is not suspended. */
export function resume(row: PlatformServiceAccountRow, { etag, now }: Change): PlatformServiceAccountRow | undefined {
  checkThere(row)
  if (!row.suspend_time) return undefined
  checkEtag(row, etag)
  return touched({ ...row, suspend_time: null }, now)
}

/** undefined: it is deleted already. */
export function remove(row: PlatformServiceAccountRow, { etag, now }: Change): PlatformServiceAccountRow | undefined {
  if (row.delete_time) return undefined
  checkEtag(row, etag)
  return touched({ ...row, delete_time: now }, now)
}

/** What an update names; undefined and [] stay. */
export interface AccountPatch {
  readonly display_name: string | undefined
  readonly permissions: readonly string[]
}

/** The row after the patch and the proto names of what changed; none: nothing to write. */
export function patched(row: PlatformServiceAccountRow, { display_name, permissions }: AccountPatch, { etag, now }: Change) {
  checkThere(row)
  checkEtag(row, etag)
  const next = {
    ...row,
    display_name: display_name ?? row.display_name,
    permissions: permissions.length > 0 ? [...permissions].sort() : row.permissions,
  }
  const changedFields: string[] = []
  if (next.display_name !== row.display_name) changedFields.push('display_name')
  if (next.permissions.join() !== [...row.permissions].sort().join()) changedFields.push('permissions')
  return { next: changedFields.length > 0 ? touched(next, now) : row, changedFields }
}

const dayMs = 86_400_000
const daysMax = 365
const daysByDefault = 90

/** When a new key ends. */
export function expiryOf(asked: Date | undefined, now: Date): Date {
  if (asked === undefined) return new Date(now.getTime() + daysByDefault * dayMs)
  const aheadMs = asked.getTime() - now.getTime()
  if (aheadMs <= 0) throw fieldInvalid('expire_time', 'must be in the future')
  if (aheadMs > daysMax * dayMs) throw fieldInvalid('expire_time', `must be at most ${daysMax} days ahead`)
  return asked
}

/** @throws Fault FIELD_INVALID for the first scope that is none of the account's permissions */
export function checkScopes(scopes: readonly string[], { permissions }: Pick<PlatformServiceAccountRow, 'permissions'>): void {
  const allowed = permissions.includes(everything) ? knownPermissions() : permissions
  const strange = scopes.findIndex((name) => !allowed.includes(name))
  if (strange >= 0) throw fieldInvalid(`scopes[${strange}]`, "must be one of the account's permissions")
}

export type PlatformApiKeyState = 'ACTIVE' | 'EXPIRED' | 'REVOKED'

export function keyStateOf({ revoke_time, expire_time }: PlatformApiKeyRow, now: Date): PlatformApiKeyState {
  if (revoke_time) return 'REVOKED'
  return expire_time && expire_time <= now ? 'EXPIRED' : 'ACTIVE'
}

/** A manager whose keys all end sooner is no one to rely on. */
export const lastingMs = 7 * dayMs
