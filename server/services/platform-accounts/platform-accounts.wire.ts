import {
  PlatformServiceAccountState as AccountState,
  PlatformApiKeyState as KeyState,
  type PlatformApiKey,
  type PlatformServiceAccount,
} from '../../../gen/customer/platform/v1/platform_account.js'
import { etagOf, keyStateOf, type PlatformApiKeyState, type PlatformServiceAccountState, stateOf } from './platform-accounts.rules.js'
import type { PlatformApiKeyRow, PlatformServiceAccountRow } from './platform-accounts.table.js'

const accountStates: Record<PlatformServiceAccountState, AccountState> = {
  ACTIVE: AccountState.PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE,
  SUSPENDED: AccountState.PLATFORM_SERVICE_ACCOUNT_STATE_SUSPENDED,
  DELETED: AccountState.PLATFORM_SERVICE_ACCOUNT_STATE_DELETED,
}
const keyStates: Record<PlatformApiKeyState, KeyState> = {
  ACTIVE: KeyState.PLATFORM_API_KEY_STATE_ACTIVE,
  EXPIRED: KeyState.PLATFORM_API_KEY_STATE_EXPIRED,
  REVOKED: KeyState.PLATFORM_API_KEY_STATE_REVOKED,
}

const named = <Name extends string, State>(states: Record<Name, State>, state: State) =>
  (Object.keys(states) as Name[]).find((name) => states[name] === state)

/** The state that a filter names; undefined: any. */
export const accountStateFilter = (state: AccountState) => named(accountStates, state)
export const keyStateFilter = (state: KeyState) => named(keyStates, state)

export const accountToWire = (row: PlatformServiceAccountRow): PlatformServiceAccount => ({
  id: row.id,
  displayName: row.display_name,
  permissions: [...row.permissions].sort(),
  state: accountStates[stateOf(row)],
  etag: etagOf(row),
  createTime: row.create_time,
  updateTime: row.update_time,
  suspendTime: row.suspend_time ?? undefined,
  deleteTime: row.delete_time ?? undefined,
})

/** @param secret of a key that is made in this very call */
export const keyToWire = (row: PlatformApiKeyRow, now: Date, secret = ''): PlatformApiKey => ({
  id: row.id,
  platformServiceAccountId: row.platform_service_account_id,
  displayName: row.display_name,
  scopes: [...row.scopes].sort(),
  state: keyStates[keyStateOf(row, now)],
  secret,
  createTime: row.create_time,
  expireTime: row.expire_time ?? undefined,
  revokeTime: row.revoke_time ?? undefined,
})
