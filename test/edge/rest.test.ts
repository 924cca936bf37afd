import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { services } from '../../server/contract/descriptors.js'
import { type Route, routesOf } from '../../server/contract/routes.js'
import { rawHttp } from '../support/raw-http.js'
import { ask, edgeUrl, rest, right, url } from '../support/rest-calls.js'
import { newSlug, onboard, theClients, theServer } from '../support/rpc.js'

const { key } = theServer()
const clients = theClients()
afterAll(() => clients.close())

const routes = routesOf(services())
const named = routes.map((it) => [`${it.verb.toUpperCase()} ${it.path}`, it] as const)
const withVariable = ({ path }: Route, value: string) => path.replaceAll(/\{[^}]*\}/g, value)

describe.each(named)('%s', (_, route) => {
  const verb = route.verb.toUpperCase()
  const emptyBody = route.hasBody ? { body: {} } : {}

  it('200: JSON by the names of the contract', async () => {
    const tenant = await onboard(clients)
    const { status, headers, json } = await ask(verb, await right[route.method.name]!(tenant))
    expect([status, headers['content-type']]).toEqual([200, 'application/json'])
    const known = new Set(route.method.output.fields.map((it) => it.name))
    expect(Object.keys(json).filter((it) => !known.has(it))).toEqual([])
  })

  it('401 without a credential, and why', async () => {
    const path = withVariable(route, 'tnt_01jd3y5v7hfkx9m2qw8zr4tn6b')
    const { status, json } = await ask(verb, { path, ...emptyBody }, { authorization: '' })
    expect(status).toBe(401)
    expect(json).toMatchObject({
      code: 16,
      status: 'UNAUTHENTICATED',
      details: [{ reason: 'CREDENTIAL_MISSING', domain: 'customer-management' }],
    })
  })

  if (route.variables.length > 0)
    it('400 for what no id looks like, by its field', async () => {
      for (const value of ['tnt_1:undelete', 'a%2Fb', 'a%40b', ':']) {
        const { status, json } = await ask(verb, { path: withVariable(route, value), ...emptyBody })
        // a verb behind a variable may be no route at all
        if (status === 404 && json.details[0].reason === 'ROUTE_NOT_FOUND') continue
        expect([status, json.code, json.details[0].reason], value).toEqual([400, 3, 'FIELD_INVALID'])
        expect(json.details[1].field_violations[0].field).toBe(route.variables[0])
      }
    })
})

it('the edge has a right call of every RPC that REST reaches, and of no other', () => {
  expect(Object.keys(right).sort()).toEqual([...new Set(routes.map((it) => it.method.name))].sort())
})

const create = (body: unknown) => ask('POST', { path: '/v1/tenants', body })
const tenantWith = (more: object = {}) => ({ slug: newSlug(), display_name: 'Acme', owner_email: 'owner@acme.example', ...more })

describe('answers', () => {
  it('are the tenant that gRPC tells of: enums by name, times with a Z, maps and lists always', async () => {
    const tenant = await onboard(clients, { labels: { tier: 'gold' } })
    const { json } = await ask('GET', { path: rest(tenant) })
    expect(json).toMatchObject({
      id: tenant.id,
      slug: tenant.slug,
      state: 'TENANT_STATE_ACTIVE',
      labels: { tier: 'gold' },
      etag: tenant.etag,
      create_time: `${tenant.createTime!.toISOString().slice(0, 19)}Z`,
    })
    expect(json).not.toHaveProperty('purge_hold')
  })

  it('a repeat with the same request_id is the first answer again, an error has details by field', async () => {
    const body = tenantWith({ request_id: randomUUID() })
    const [first, second] = [await create(body), await create(body)]
    expect([first.status, second.json]).toEqual([200, first.json])
    const taken = await create({ ...body, request_id: randomUUID() })
    expect(taken).toMatchObject({ status: 409, json: { code: 6, status: 'ALREADY_EXISTS', details: [{ reason: 'SLUG_TAKEN' }] } })
    const wrong = await create({ slug: 'A', labels: { 'A b': '' } })
    expect(wrong.json.details[0]).toMatchObject({ reason: 'FIELD_INVALID', metadata: { violations_total: expect.stringMatching(/^\d+$/) } })
    expect(wrong.json.details[1].field_violations.map((it: { field: string }) => it.field)).toEqual(
      expect.arrayContaining(['slug', 'display_name', 'owner_email']),
    )
  })

  it('carry the request id that was sent, or one of their own', async () => {
    const sent = await ask('GET', { path: '/v1/eventTypes' }, { 'x-request-id': 'r-42' })
    expect(sent.headers['x-request-id']).toBe('r-42')
    const own = await ask('GET', { path: '/v1/tenants/tnt_1' })
    expect(own.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('any page may read them; a preflight is answered', async () => {
    const { headers } = await ask('GET', { path: '/v1/eventTypes' }, { origin: 'https://app.example' })
    expect(headers['access-control-allow-origin']).toBe('*')
    const preflight = await ask(
      'OPTIONS',
      { path: '/v1/tenants' },
      { origin: 'https://app.example', 'access-control-request-method': 'PATCH' },
    )
    expect(preflight.headers['access-control-allow-methods']).toContain('PATCH')
    expect(preflight.headers['access-control-allow-headers']).toContain('authorization')
  })
})

describe('bad input is an error with code, reason and field; it writes nothing', () => {
  const long = 'a'.repeat(9_000)
  const surrogate = (body: object) => JSON.stringify(body).replace('Acme', '\\ud83d')
  it.each<[string, () => unknown, number, string?]>([
    ['JSON that is cut off', () => '{"slug":', 400],
    ['no JSON', () => 'slug=acme', 400],
    ['a number at the top', () => '5', 400],
    ['a string where a map stands', () => tenantWith({ labels: 'x' }), 400, 'labels'],
    ['a number where a text stands', () => tenantWith({ display_name: 5 }), 400, 'display_name'],
    ['null', () => tenantWith({ display_name: null }), 400, 'display_name'],
    ['an enum in a list of values', () => tenantWith({ labels: { a: ['b'] } }), 400, 'labels["a"]'],
    ['half a surrogate pair', () => surrogate(tenantWith()), 400],
    ['9 kB in one field', () => tenantWith({ display_name: long }), 400, 'display_name'],
    ['1,100 levels', () => `{"labels":${'['.repeat(1_100)}${']'.repeat(1_100)}}`, 400],
    ['2 MB', () => tenantWith({ display_name: 'a'.repeat(2_000_000) }), 413],
  ])('%s', async (_, body, status, field) => {
    const { status: got, json } = await create(body())
    expect([got, json.code]).toEqual([status, status === 413 ? 8 : 3])
    if (edgeUrl === undefined || field !== undefined)
      expect(json.details[0].reason).toBe(status === 413 ? 'REQUEST_TOO_LARGE' : 'FIELD_INVALID')
    if (field !== undefined && edgeUrl === undefined) expect(json.details[1].field_violations[0].field).toBe(field)
  })

  it.each<[string, () => unknown, string?]>([
    ['a field that there is none of', () => tenantWith({ displayName: 'x' }), 'displayName'],
    ['an unknown field deep inside', () => tenantWith({ contacts: { zzz: 1 } }), 'contacts.zzz'],
    ['a name twice', () => JSON.stringify(tenantWith()).replace('{', '{"slug":"other",')],
    ['NaN', () => '{"slug":NaN}'],
    ['null for a flag', () => tenantWith({ validate_only: null }), 'validate_only'],
    ['"false" for a flag', () => tenantWith({ validate_only: 'false' }), 'validate_only'],
    ['a list at the top', () => [tenantWith()]],
  ])('%s (Kong lets some of these pass)', async (_, body, field) => {
    const { status, json } = await create(body())
    expect(status).toBeLessThan(500)
    if (edgeUrl !== undefined) return
    expect([status, json.code, json.details[0].reason]).toEqual([400, 3, 'FIELD_INVALID'])
    if (field !== undefined) expect(json.details[1].field_violations[0].field).toBe(field)
  })

  it.each<[string, string, string, number, number]>([
    ['a method that the path does not have', 'PUT', '/v1/tenants', 404, 5],
    ['HEAD, without a body', 'HEAD', '/v1/tenants', 404, 5],
    ['a path that nothing has', 'GET', '/v1/nothing', 404, 5],
    ['a slash too many', 'GET', '/v1/tenants/', 404, 5],
    ['an encoded verb', 'POST', '/v1/tenants/tnt_1%3Asuspend', 404, 5],
    ['an encoding that is none', 'GET', '/v1/tenants/a%', 400, 3],
    ['a NUL', 'GET', '/v1/tenants/a%00', 400, 3],
    ['a path of 9 kB', 'GET', `/v1/tenants/${long}`, 414, 3],
    ['a number that is none', 'GET', '/v1/tenants?page_size=abc', 400, 3],
    ['an enum that is none', 'GET', '/v1/tenants?state=ACTIVE', 400, 3],
    ['a time that is none', 'GET', '/v1/tenants?after_create_time=yesterday-ish', 400, 3],
    ['a value twice', 'GET', '/v1/tenants?page_token=a&page_token=b', 400, 3],
    ['a name without a value', 'GET', '/v1/tenants?page_token', 400, 3],
  ])('%s', async (_, method, path, status, code) => {
    const { status: got, json } = await ask(method, { path, ...(method === 'POST' ? { body: {} } : {}) })
    expect(got).toBe(status)
    if (method !== 'HEAD') expect(json).toMatchObject({ code, status: expect.stringMatching(/^[A-Z_]+$/), message: expect.any(String) })
    if (method !== 'HEAD' && edgeUrl === undefined)
      expect(json.details[0].reason).toMatch(/^(FIELD_INVALID|ROUTE_NOT_FOUND|REQUEST_TOO_LARGE)$/)
  })

  it('another tenant in the body, or in the query, than in the path acts on none (Kong takes the body)', async () => {
    const [here, other] = [await onboard(clients), await onboard(clients)]
    if (edgeUrl !== undefined) return
    const patched = await ask('PATCH', { path: rest(here), body: { tenant_id: other.id, display_name: 'Evil' } })
    const deleted = await ask('DELETE', { path: `${rest(here)}?tenant_id=${other.id}` })
    const emptied = await ask('DELETE', { path: `${rest(here)}?tenant_id=` })
    for (const it of [patched, deleted, emptied]) {
      expect([it.status, it.json.details[1].field_violations[0].field]).toEqual([400, 'tenant_id'])
    }
    for (const { id, etag } of [here, other]) expect((await clients.tenants.getTenant({ tenantId: id })).etag).toBe(etag)
  })

  it('an update of nothing, as a body looks that was lost on its way', async () => {
    const tenant = await onboard(clients)
    for (const body of [{}, '']) {
      const { status, json } = await ask('PATCH', { path: rest(tenant), body })
      expect([status, json.details[0].reason]).toEqual([400, 'UPDATE_EMPTY'])
    }
  })

  it('two credentials', async () => {
    const answer = await rawHttp({
      host: url.hostname,
      port: Number(url.port || 80),
      method: 'GET',
      path: '/v1/tenants',
      headers: { authorization: [`Bearer ${key}`, `Bearer ${key}`] },
    })
    expect([answer.status, JSON.parse(answer.body.toString()).code]).toEqual([400, 3])
  })

  it('a gateway secret of one’s own, and a deadline that is none, are not taken', async () => {
    const forged = await ask('GET', { path: '/v1/eventTypes' }, { 'x-gateway-secret': 'x'.repeat(40), 'x-via-gateway': '1' })
    expect(forged.status).toBe(200)
    const { status } = await ask('GET', { path: '/v1/eventTypes' }, { 'grpc-timeout': 'soon' })
    expect([400, 500]).toContain(status)
  })
})
