import { newId } from '../../keys/ids.js'
import { hashSecret, makeSecret, parseSecret } from '../../keys/secret.js'
import type { FirstKey } from './platform-accounts.repo.js'

/** A key of the ordinary form, for a row of its own. */
export function makePlatformKey(): string {
  return makeSecret('ck', '', newId('pky'))
}

/** The row that a key stands for: its own where it has the ordinary form, else a new one. */
export function keyRow(key: string, action: string, actor: string): FirstKey {
  const locator = parseSecret(key)
  const accountId = newId('psa')
  const keyId = locator && locator.tenantId === '' ? `pky_${locator.rowSuffix}` : newId('pky')
  const audit = JSON.stringify({
    id: newId('aud'),
    action,
    tenant_id: 'platform',
    actor: { type: 'system', id: actor, key_id: '' },
    target: `platform/apiKeys/${keyId}`,
  })
  return { accountId, keyId, secretHash: hashSecret(key), audit }
}
