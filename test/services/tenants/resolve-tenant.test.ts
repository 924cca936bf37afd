import { afterAll, expect, it } from 'vitest'
import { refusal } from '../../support/refusal.js'
import { newSlug, onboard, theClients } from '../../support/rpc.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
afterAll(() => clients.close())

it('OK: the tenant that has the slug, also while it is suspended or deleted', async () => {
  const slug = newSlug('resolve')
  const { id: tenantId } = await onboard(clients, { slug })
  for (const move of [
    () => tenants.getTenant({ tenantId }),
    () => tenants.suspendTenant({ tenantId, reason: 'x' }),
    () => tenants.deleteTenant({ tenantId }),
  ]) {
    const tenant = await move()
    expect(await writingNothing(tenantId, () => tenants.resolveTenant({ slug }))).toEqual(tenant)
  }
})

it('NOT_FOUND: a slug that nobody has, a part of one, a reserved word', async () => {
  const { slug } = await onboard(clients)
  for (const wrong of [newSlug(), slug.slice(0, -1), `${slug}0`, 'admin', 'a--b']) {
    expect(await refusal(tenants.resolveTenant({ slug: wrong }))).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
  }
})

it('INVALID_ARGUMENT: what can be no slug', async () => {
  for (const slug of ['', 'ab', 'a'.repeat(64), 'Acme', '-ab', 'ab-', '1ab', 'a b', 'ácme', "a'--", 'abc\n']) {
    const refused = await refusal(tenants.resolveTenant({ slug }))
    expect(refused, slug).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
    expect(new Set(refused.violations.map(({ field }) => field))).toEqual(new Set(['slug']))
  }
})
