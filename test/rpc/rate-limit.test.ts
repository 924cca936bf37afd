import { afterEach, describe, expect, it } from 'vitest'
import { openMemoryCache } from '../../server/cache/memory-cache.js'
import { rateLimitsOver } from '../../server/cache/rate-limits.js'
import { bearer, type Fixture, startFixture } from './fixture.js'

let server: Fixture
afterEach(() => server.stop())

const each = (n: number) => ({ READ: n, LIST: n, WRITE: n, ONBOARD: n, STREAM: n })
const plenty = each(1_000)
const start = async (limits: Partial<Record<'key' | 'principal' | 'address', ReturnType<typeof each>>>) => {
  server = await startFixture({
    rateLimits: rateLimitsOver(openMemoryCache(), { key: plenty, principal: plenty, address: plenty, ...limits }),
  })
}
const told = (trailers: { get(name: string): unknown[] } | undefined, ...names: string[]) => names.map((name) => trailers?.get(name)[0])

describe('a call is counted', () => {
  it('and told so behind every answer, a refusal of another kind included: the tightest limit', async () => {
    await start({ key: each(10) })
    const good = await server.getTenant()
    expect(told(good.trailers, 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset')).toEqual(['10', '9', '60'])
    const wrong = await server.getTenant(bearer('ck_none'))
    expect([wrong.code, ...told(wrong.trailers, 'ratelimit-limit', 'ratelimit-remaining')]).toEqual([7, '10', '9'])
  })

  it.each([
    ['key', 'ck_all'],
    ['principal', 'ck_all'],
    ['address', 'ck_view'],
  ] as const)('by its %s: beyond the limit nothing is asked of any handler', async (by, token) => {
    await start({ [by]: each(2) })
    const handled = [await server.getTenant(), await server.getTenant()].map((it) => it.code)
    const before = server.handled()
    const over = await server.getTenant(bearer(token))
    expect([handled, over.code, server.handled() - before]).toEqual([[0, 0], 8, 0])
    expect(over.info).toMatchObject({ reason: 'RATE_LIMITED', metadata: { by, rate_class: 'READ', limit: '2' } })
    expect(Number(over.retryInfo?.retryDelay?.seconds)).toBeGreaterThan(50)
    expect(told(over.trailers, 'ratelimit-remaining', 'retry-after')).toEqual(['0', '60'])
  })

  it('by its class: lists do not use up reads', async () => {
    await start({ key: { ...each(2), LIST: 5 } })
    for (let i = 0; i < 2; i++) await server.getTenant()
    expect((await server.getTenant()).code).toBe(8)
    const list = await server.send('/customer.tenant.v1.TenantService/ListTenants', new Uint8Array())
    expect([list.code, ...told(list.trailers, 'ratelimit-limit')]).toEqual([0, '5'])
  })

  it('what a key is refused uses up nothing of its principal and its address', async () => {
    const asked: string[] = []
    server = await startFixture({
      rateLimits: (by) => {
        asked.push(by)
        return { allowed: by !== 'key', limit: 1, remaining: 0, resetMs: 1_000 }
      },
    })
    expect((await server.getTenant()).code).toBe(8)
    expect(asked).toEqual(['key'])
  })

  it('of another key, another principal: not in the same count', async () => {
    await start({ key: each(1), principal: each(1) })
    expect((await server.getTenant()).code).toBe(0)
    expect((await server.getTenant()).code).toBe(8)
    expect((await server.getTenant(bearer('ck_view'))).code).toBe(0)
  })

  it('a credential that is wrong has no principal, and is refused before it is counted', async () => {
    await start({ address: each(1) })
    expect((await server.getTenant(bearer('ck_wrong'))).code).toBe(16)
    expect((await server.getTenant()).code).toBe(0)
  })
})
