import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openRing, parseRingKeys } from '../../server/keys/ring.js'
import { seal } from '../../server/keys/seal.js'
import { cutPage, pageSizeOf } from '../../server/lists/keyset.js'
import { openPageToken, type PageQuery, sealPageToken } from '../../server/lists/page-token.js'
import { Fault } from '../../server/rpc/fault.js'

const ringOf = () => openRing(parseRingKeys(randomBytes(32).toString('base64')))
const ring = ringOf()
const now = new Date('2026-03-01T12:00:00Z')
const later = (ms: number) => new Date(now.getTime() + ms)
const query: PageQuery = {
  principalId: 'psa_1',
  method: '/customer.tenant.v1.TenantService/ListTenants',
  tenantId: '',
  filter: { state: 'TENANT_STATE_ACTIVE', after_create_time: new Date(5), show_deleted: false, plan: undefined },
  order: 'CREATE_TIME',
}
const cursor = ['2026-03-01 11:59:59.123456+00', 'tnt_01kb0000000000000000000000']
const token = sealPageToken(ring, query, cursor, now)

function faultOf(work: () => unknown): Fault {
  try {
    work()
  } catch (err) {
    if (err instanceof Fault) return err
    throw err
  }
  throw new Error('no fault')
}

describe('page tokens', () => {
  it('give the cursor back, as the database wrote it, for 24 hours', () => {
    expect(openPageToken(ring, query, token, now)).toEqual(cursor)
    expect(openPageToken(ring, query, token, later(24 * 3_600_000 - 1))).toEqual(cursor)
    expect(openPageToken(ring, query, '', now)).toBeUndefined()
  })

  it('hide what they hold, and no two are the same', () => {
    expect(Buffer.from(token.split('.')[2]!, 'base64url').toString('latin1')).not.toContain('tnt_')
    expect(sealPageToken(ring, query, cursor, now)).not.toBe(token)
    expect(token.length).toBeLessThan(400)
  })

  it('do not depend on the order of the filter fields', () => {
    const filter = { show_deleted: false, after_create_time: new Date(5), state: 'TENANT_STATE_ACTIVE' }
    expect(openPageToken(ring, { ...query, filter }, token, now)).toEqual(cursor)
  })

  const others: [string, PageQuery][] = [
    ['another principal', { ...query, principalId: 'psa_2' }],
    ['another method', { ...query, method: '/customer.event.v1.EventService/ListEvents' }],
    ['another tenant', { ...query, tenantId: 'tnt_01kb0000000000000000000000' }],
    ['another filter', { ...query, filter: { ...query.filter, state: 'TENANT_STATE_DELETED' } }],
    ['a filter less', { ...query, filter: { state: 'TENANT_STATE_ACTIVE', show_deleted: false } }],
    ['another bound in time', { ...query, filter: { ...query.filter, after_create_time: new Date(6) } }],
    ['another order', { ...query, order: 'SLUG' }],
  ]
  it.each(others)('C-014 PAGE_TOKEN_INVALID: of %s', (_, other) => {
    expect(faultOf(() => openPageToken(ring, other, token, now)).reason).toBe('PAGE_TOKEN_INVALID')
  })

  it('C-014 PAGE_TOKEN_INVALID: with any bit flipped, of another server, too old, too long, or made up', () => {
    const [version, id, body] = token.split('.') as [string, string, string]
    const bytes = Buffer.from(body, 'base64url')
    const wrong = Array.from({ length: bytes.length * 8 }, (_, bit) => {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      return `${version}.${id}.${flipped.toString('base64url')}`
    })
    wrong.push(sealPageToken(ringOf(), query, cursor, now), sealPageToken(ring, query, cursor, later(-24 * 3_600_000)))
    wrong.push(seal(ring, { purpose: 'page-token', place: [] }, Buffer.from('[9e15]')), 'x'.repeat(1_001), 'MTA=', '{}', '../..', '\0')
    const faults = wrong.map((text) => faultOf(() => openPageToken(ring, query, text, now)))
    expect(new Set(faults.map((fault) => JSON.stringify([fault.reason, fault.message, fault.metadata])))).toHaveLength(1)
    expect(faults).toHaveLength(bytes.length * 8 + 8)
  })
})

describe('pages', () => {
  it.each([
    [0, 50],
    [1, 1],
    [500, 500],
    [501, 500],
    [2 ** 31 - 1, 500],
    [-1, 50],
  ])('page_size %i is %i', (asked, size) => expect(pageSizeOf(asked)).toBe(size))

  it.each([
    [[], [], undefined],
    [[1, 2], [1, 2], undefined],
    [[1, 2, 3], [1, 2, 3], undefined],
    [[1, 2, 3, 4], [1, 2, 3], ['3']],
  ])('of three: %j', (found, rows, next) => {
    expect(cutPage(found, 3, (row) => [String(row)])).toEqual({ rows, next })
  })
})
