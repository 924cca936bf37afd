import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { type Tenant, TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { type ListTenantsRequest, TenantOrder } from '../../../gen/customer/tenant/v1/tenant_service.js'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { newSlug, onboard, theClients, thePool, theServer } from '../../support/rpc.js'

const clients = theClients()
const { listTenants } = clients.tenants
afterAll(() => clients.close())

/** This file's own tenants: no list here looks beyond them. */
const labelKey = `list-${randomUUID().slice(0, 8)}`
const make = (value: string, more: object = {}) => onboard(clients, { slug: newSlug('list'), labels: { [labelKey]: value }, ...more })
const first = await make('gold')
const second = await make('gold', { plan: 'enterprise', region: 'eu' })
const third = await make('silver', { plan: 'enterprise' })
const suspended = await clients.tenants.suspendTenant({ tenantId: (await make('silver')).id, reason: 'x' })
const deleted = await clients.tenants.deleteTenant({ tenantId: (await make('bronze')).id })
const shown = [first, second, third, suspended]
const all = [...shown, deleted]

const slugs = (tenants: readonly Tenant[]) => tenants.map(({ slug }) => slug)
const list = async (more: Partial<ListTenantsRequest> = {}) => (await listTenants({ labelKey, ...more })).tenants

/** All pages, one after the other. */
async function pages(more: Partial<ListTenantsRequest>, between: (page: number) => Promise<unknown> = async () => {}): Promise<Tenant[]> {
  const found: Tenant[] = []
  for (let pageToken = '', page = 1; ; page++) {
    const answer = await listTenants({ labelKey, ...more, pageToken })
    found.push(...answer.tenants)
    if (answer.nextPageToken === '') return found
    expect(answer.tenants.length).toBeGreaterThan(0)
    pageToken = answer.nextPageToken
    await between(page)
  }
}

describe('order', () => {
  const { TENANT_ORDER_UNSPECIFIED, TENANT_ORDER_CREATE_TIME_DESC, TENANT_ORDER_CREATE_TIME_ASC, TENANT_ORDER_SLUG_ASC } = TenantOrder
  it.each([
    [TENANT_ORDER_UNSPECIFIED, () => [...shown].reverse()],
    [TENANT_ORDER_CREATE_TIME_DESC, () => [...shown].reverse()],
    [TENANT_ORDER_CREATE_TIME_ASC, () => shown],
    [TENANT_ORDER_SLUG_ASC, () => [...shown].sort((a, b) => (a.slug < b.slug ? -1 : 1))],
  ])('%s, whole and in pages of any size', async (orderBy, expected) => {
    expect(await list({ orderBy })).toEqual(expected())
    for (const pageSize of [1, 2, 3, 4, 5]) expect(slugs(await pages({ orderBy, pageSize }))).toEqual(slugs(expected()))
  })
})

describe('filters', () => {
  const after = new Date(second.createTime!.getTime())
  it.each<[string, Partial<ListTenantsRequest>, readonly Tenant[]]>([
    ['state ACTIVE', { state: TenantState.TENANT_STATE_ACTIVE }, [first, second, third]],
    ['state SUSPENDED', { state: TenantState.TENANT_STATE_SUSPENDED }, [suspended]],
    ['state DELETED, not without show_deleted', { state: TenantState.TENANT_STATE_DELETED }, []],
    ['state DELETED', { state: TenantState.TENANT_STATE_DELETED, showDeleted: true }, [deleted]],
    ['show_deleted', { showDeleted: true }, all],
    ['plan', { plan: 'enterprise' }, [second, third]],
    ['a plan that nobody has', { plan: 'enter' }, []],
    ['region', { region: 'eu' }, [second]],
    ['label_value', { labelValue: 'gold' }, [first, second]],
    ['a part of a label_value', { labelValue: 'gol' }, []],
    ['a label_key that nobody has', { labelKey: `${labelKey}x` }, []],
    ['after_create_time, exclusive', { afterCreateTime: after }, [third, suspended]],
    ['before_create_time, exclusive', { beforeCreateTime: after }, [first]],
    ['all that are set hold', { plan: 'enterprise', labelValue: 'silver', afterCreateTime: after }, [third]],
  ])('%s', async (_, filter, expected) => {
    const orderBy = TenantOrder.TENANT_ORDER_CREATE_TIME_ASC
    expect(slugs(await list({ ...filter, orderBy }))).toEqual(slugs(expected))
    expect(slugs(await pages({ ...filter, orderBy, pageSize: 1 }))).toEqual(slugs(expected))
  })

  it('INVALID_ARGUMENT: a label_value without label_key, a wrong key, a state or order that is none', async () => {
    const violated = async (request: object) => (await refusal(listTenants(request))).violations.map(({ field }) => field)
    expect(await violated({ labelValue: 'gold' })).toEqual(['label_value'])
    expect(await violated({ labelKey: 'A' })).toEqual(['label_key'])
    expect(await violated({ labelKey, labelValue: 'x'.repeat(257), plan: 'p'.repeat(41) })).toEqual(['plan', 'label_value'])
  })
})

describe('page_size', () => {
  it('0 means 50, 501 is lowered to 500; both are no error', async () => {
    expect(slugs(await list({ pageSize: 0 }))).toEqual(slugs([...shown].reverse()))
    expect(slugs(await list({ pageSize: 501 }))).toEqual(slugs([...shown].reverse()))
    expect(slugs(await list({ pageSize: 2_147_483_647 }))).toEqual(slugs([...shown].reverse()))
  })

  it('INVALID_ARGUMENT: below 0', async () => {
    for (const pageSize of [-1, -2_147_483_648]) {
      const refused = await refusal(listTenants({ labelKey, pageSize }))
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', violations: [{ field: 'page_size' }] })
    }
  })
})

describe('paging', () => {
  it.each([TenantOrder.TENANT_ORDER_CREATE_TIME_DESC, TenantOrder.TENANT_ORDER_CREATE_TIME_ASC, TenantOrder.TENANT_ORDER_SLUG_ASC])(
    '%s: complete and exactly once for those that are there throughout, while others come and change',
    async (orderBy) => {
      const found = await pages({ labelValue: 'gold', orderBy, pageSize: 1 }, (page) =>
        page > 4
          ? Promise.resolve()
          : Promise.all([make('gold'), clients.tenants.updateTenant({ tenantId: first.id, displayName: `${page}` })]),
      )
      const ids = found.map(({ id }) => id)
      expect(new Set(ids).size).toBe(ids.length)
      expect(ids).toEqual(expect.arrayContaining([first.id, second.id]))
    },
  )

  it('the page size may change on the way', async () => {
    const request = { labelKey, orderBy: TenantOrder.TENANT_ORDER_CREATE_TIME_ASC, beforeCreateTime: deleted.createTime }
    const { tenants, nextPageToken: pageToken } = await listTenants({ ...request, pageSize: 1 })
    const rest = await listTenants({ ...request, pageSize: 500, pageToken })
    expect(slugs([...tenants, ...rest.tenants])).toEqual(slugs(shown))
    expect(rest.nextPageToken).toBe('')
  })
})

describe('PAGE_TOKEN_INVALID', () => {
  const request = { labelKey, pageSize: 1, orderBy: TenantOrder.TENANT_ORDER_SLUG_ASC }
  const invalid = { code: 'INVALID_ARGUMENT', reason: 'PAGE_TOKEN_INVALID', metadata: {} }

  it('C-014 of another filter, order or caller', async () => {
    const { nextPageToken: pageToken } = await listTenants(request)
    expect(pageToken).not.toBe('')
    const changes: Partial<ListTenantsRequest>[] = [
      { labelValue: 'gold' },
      { showDeleted: true },
      { plan: 'standard' },
      { region: 'eu' },
      { state: TenantState.TENANT_STATE_ACTIVE },
      { afterCreateTime: new Date(0) },
      { beforeCreateTime: new Date() },
      { orderBy: TenantOrder.TENANT_ORDER_CREATE_TIME_ASC },
    ]
    for (const change of changes) expect(await refusal(listTenants({ ...request, ...change, pageToken }))).toMatchObject(invalid)
    const other = await makeKey(thePool(), ['platform-view-tenants'])
    const others = connect(theServer().address, other.key)
    expect(await refusal(others.tenants.listTenants({ ...request, pageToken }))).toMatchObject(invalid)
    others.close()
    expect((await listTenants({ ...request, pageToken })).tenants).toHaveLength(1)
  })

  it('C-014 made up, cut, or with a character changed', async () => {
    const { nextPageToken: token } = await listTenants(request)
    const changed = [...token].map((letter, i) => token.slice(0, i) + (letter === 'A' ? 'B' : 'A') + token.slice(i + 1))
    for (const pageToken of ['x', 'AAAA', token.slice(1), token.slice(0, -4), `${token}AAAA`, ...changed.filter((_, i) => i % 7 === 0)]) {
      expect(await refusal(listTenants({ ...request, pageToken })), pageToken).toMatchObject(invalid)
    }
  })
})
