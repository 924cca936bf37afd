import { afterAll, expect, it } from 'vitest'
import { refusal } from '../../support/refusal.js'
import { newSlug, onboard, theClients, theSuperuser } from '../../support/rpc.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
afterAll(() => clients.close())

const isKnown = async (slug: string) => (await theSuperuser().query('select from platform.tenants where slug = $1', [slug])).rowCount !== 0

it('ALREADY_EXISTS SLUG_TAKEN: of an active and of a suspended tenant, which stays as it is', async () => {
  const { id: tenantId, slug } = await onboard(clients)
  const refused = await writingNothing(tenantId, () => refusal(onboard(clients, { slug })))
  expect(refused).toMatchObject({ code: 'ALREADY_EXISTS', reason: 'SLUG_TAKEN', metadata: {} })
  await tenants.suspendTenant({ tenantId, reason: 'x' })
  expect(await refusal(onboard(clients, { slug }))).toMatchObject({ code: 'ALREADY_EXISTS', reason: 'SLUG_TAKEN' })
})

it('ALREADY_EXISTS SLUG_TAKEN_BY_DELETED: names the tenant, whom UndeleteTenant brings back', async () => {
  const { id: tenantId, slug } = await onboard(clients)
  await tenants.deleteTenant({ tenantId })
  const refused = await writingNothing(tenantId, () => refusal(onboard(clients, { slug })))
  expect(refused).toMatchObject({ code: 'ALREADY_EXISTS', reason: 'SLUG_TAKEN_BY_DELETED', metadata: { tenant_id: tenantId } })
  expect((await tenants.undeleteTenant({ tenantId: refused.metadata['tenant_id']! })).slug).toBe(slug)
})

it('ALREADY_EXISTS SLUG_RETIRED: the slug of a purged tenant', async () => {
  const slug = newSlug('retired')
  await theSuperuser().query(`insert into platform.reserved_slugs (slug, reason) values ($1, 'retired')`, [slug])
  expect(await refusal(onboard(clients, { slug }))).toMatchObject({ code: 'ALREADY_EXISTS', reason: 'SLUG_RETIRED' })
})

it('INVALID_ARGUMENT SLUG_RESERVED: a word of the platform; a word that only begins so is free', async () => {
  for (const slug of ['admin', 'www', 'well-known', 'platform', 'login', 'api']) {
    expect(await refusal(onboard(clients, { slug })), slug).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'SLUG_RESERVED' })
  }
  expect((await onboard(clients, { slug: newSlug('admin') })).etag).toBe('1')
})

it.each([
  ['plan', 'gold', 'standard,enterprise'],
  ['plan', 'STANDARD', 'standard,enterprise'],
  ['region', 'mars', 'default,eu'],
])('INVALID_ARGUMENT OPTION_UNKNOWN: the %s %s, with what is offered, burning no slug', async (field, name, allowed) => {
  const slug = newSlug()
  const refused = await refusal(onboard(clients, { slug, [field]: name }))
  expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'OPTION_UNKNOWN', metadata: { field, allowed } })
  expect(refused.violations).toMatchObject([{ field }])
  expect(await isKnown(slug)).toBe(false)
})

it.each([
  ['slug', ['', 'ab', 'a'.repeat(64), 'Acme', '-abc', 'abc-', '1abc', 'ab--c', 'a.b.c', 'a b c', 'äbc', 'ab_c', 'abc\n', "abc';drop"]],
  ['display_name', ['', ' \t', 'x'.repeat(201)]],
  [
    'owner_email',
    [
      '',
      'owner',
      '@acme.example',
      'o@',
      'o@a@acme.example',
      'o w@acme.example',
      'o@acme..example',
      'o@-',
      `${'o'.repeat(65)}@acme.example`,
    ],
  ],
  ['request_id', ['1', 'no-uuid', '{00000000-0000-4000-8000-000000000000}']],
])('INVALID_ARGUMENT: %s', async (field, values) => {
  const name = field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  for (const value of values) {
    const slug = newSlug()
    const refused = await refusal(onboard(clients, { slug, [name]: value }))
    expect(refused, JSON.stringify(value)).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
    expect(refused.violations.map((it) => it.field)).toContain(field)
    if (field !== 'slug') expect(await isKnown(slug)).toBe(false)
  }
})

it('INVALID_ARGUMENT: labels and contacts, each named', async () => {
  const labels = (given: Record<string, string>) => refusal(onboard(clients, { labels: given }))
  expect((await labels(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, '1'])))).violations).toMatchObject([
    { field: 'labels' },
  ])
  for (const key of ['', 'A', '1a', 'a_time', 'create_time', '__proto__', 'a'.repeat(64)]) {
    expect((await labels(JSON.parse(`{${JSON.stringify(key)}: "1"}`))).violations, key).toMatchObject([{ field: `labels["${key}"]` }])
  }
  for (const value of ['', 'x'.repeat(257)]) expect((await labels({ a: value })).violations).toMatchObject([{ field: 'labels["a"]' }])
  const contacts = await refusal(onboard(clients, { contacts: { billingEmail: 'x', securityEmail: 'y@' } }))
  expect(contacts.violations.map((it) => it.field)).toEqual(['contacts.billing_email', 'contacts.security_email'])
})

it('INVALID_ARGUMENT: all violations at once, 20 at most, in field order, with their total', async () => {
  const labels = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`L${i}`, '1']))
  const refused = await refusal(onboard(clients, { slug: 'A', displayName: '', labels }))
  expect(refused.violations.slice(0, 3).map((it) => it.field)).toEqual(['slug', 'slug', 'display_name'])
  expect(refused.violations.length).toBeLessThanOrEqual(20)
  expect(Number(refused.metadata['violations_total'])).toBeGreaterThanOrEqual(33)
})
