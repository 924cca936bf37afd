import { randomBytes } from 'node:crypto'

/** Writes what a mutation writes: one update, one event, one audit entry, one idempotency record, and the counter. */
export interface Writer {
  write(tenantId: string, displayName: string): Promise<void>
  end(): Promise<void>
}

const tenantId = 'tnt_01m895vfshecw9b7xh6tqr6ewk'

/** Of the sizes that UpdateTenant writes. */
export const sample = {
  answer: randomBytes(190),
  payload: JSON.stringify({
    tenant_id: tenantId,
    slug: 'b01m895vfshecw9b7xh6tqr6ewk',
    display_name: 'Acme 123456',
    state: 'TENANT_STATE_ACTIVE',
    plan: 'standard',
    region: 'default',
    labels: {},
    contacts: { billing_email: '', security_email: '' },
    create_time: '2026-01-01T00:00:00.000Z',
    changed_fields: ['display_name'],
    actor: { type: 'platform-service-account', id: 'psa_01m895vfshecw9b7xh6tqr6ewk' },
  }),
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
  entry: JSON.stringify({
    id: 'aud_01m895vfshecw9b7xh6tqr6ewk',
    action: 'tenant.update',
    tenant_id: tenantId,
    actor: { type: 'platform-service-account', id: 'psa_01m895vfshecw9b7xh6tqr6ewk', key_id: 'pky_01m895vfshecw9b7xh6tqr6ewk' },
    request_id: '5f0c9d5e-6d0a-4f43-9f6e-0e8f4d4b8a55',
    changed_fields: ['display_name'],
  }),
}
