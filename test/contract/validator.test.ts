import { type DescMessage, fromBinary, getOption, toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { WatchEventsRequest } from '../../gen/customer/event/v1/event_service.js'
import { CreateTenantRequest, ListTenantsRequest, UpdateTenantRequest } from '../../gen/customer/tenant/v1/tenant_service.js'
import { messageDesc, registry } from '../../server/contract/descriptors.js'
import { checkerOf } from '../../server/contract/validator.js'

const id = 'tnt_01jd3y5v7hfkx9m2qw8zr4tn6b'
const create = {
  slug: 'acme',
  displayName: 'Acme',
  ownerEmail: 'o@acme.example',
  labels: { a: '1' },
  contacts: { billingEmail: 'b@acme.example' },
}
const check = (name: string, bytes: Uint8Array) => checkerOf(messageDesc(`customer.tenant.v1.${name}`))(bytes)
const createBytes = (fields: object) => CreateTenantRequest.encode(CreateTenantRequest.fromPartial({ ...create, ...fields })).finish()
const paths = (name: string, bytes: Uint8Array) => check(name, bytes).violations.map((it) => it.field)

describe('validator', () => {
  it('names fields as the contract does', () => {
    const bytes = createBytes({ labels: { 'B"x': '1', ok: '' }, contacts: { billingEmail: 'no' }, requestId: 'x' })
    expect(paths('CreateTenantRequest', bytes)).toEqual(['labels["B\\"x"]', 'labels["ok"]', 'contacts.billing_email', 'request_id'])
    expect(check('CreateTenantRequest', createBytes({}))).toEqual({ violations: [], total: 0, decodable: true })
  })

  it('C-063 wrong UTF-8 and NUL, named, beside the other violations, wherever a string may stand', () => {
    const mark = (bytes: Uint8Array, at: string, byte: number) => {
      const marked = Buffer.from(bytes)
      marked[marked.indexOf(at)] = byte
      return marked
    }
    const bytes = createBytes({ slug: 'A', labels: { key: 'value' }, contacts: { billingEmail: 'MARK@x.example' } })
    for (const byte of [0, 0xff, 0xc3]) {
      expect(paths('CreateTenantRequest', mark(bytes, 'MARK', byte))).toEqual(['slug', 'slug', 'contacts.billing_email'])
      expect(paths('CreateTenantRequest', mark(bytes, 'value', byte))).toEqual(['slug', 'slug', 'labels["key"]'])
      expect(paths('CreateTenantRequest', mark(bytes, 'key', byte))).toEqual(['slug', 'slug', 'labels'])
    }
    expect(check('CreateTenantRequest', createBytes({ displayName: 'Ünïcödé \u{1f680}' })).total).toBe(0)
  })

  it('a display name has something to see, in any script', () => {
    for (const displayName of ['Acme', '株式会社', 'شركة', 'ไทย', '7', '\u{1f680}', '&', 'e\u0301'])
      expect(check('CreateTenantRequest', createBytes({ displayName })).total, displayName).toBe(0)
    for (const displayName of [' ', '\t\u00a0', '\u200b', '\u200d\u2060', '\u202e', '\ufeff', '\u0301', '\u007f'])
      expect(paths('CreateTenantRequest', createBytes({ displayName })), JSON.stringify(displayName)).toEqual(['display_name'])
  })

  it('numbers out of range, unknown enum numbers, times that are none', () => {
    const list = (...bytes: number[]) => paths('ListTenantsRequest', Buffer.from(bytes))
    const { fields } = messageDesc('customer.tenant.v1.ListTenantsRequest')
    const number = (name: string) => fields.find((it) => it.name === name)!.number
    const varint = (field: string) => number(field) << 3
    expect(list(varint('page_size'), 0xff, 0xff, 0xff, 0xff, 0x0f)).toEqual(['page_size'])
    expect(list(varint('page_size'), 0x80, 0x80, 0x80, 0x80, 0x10)).toEqual(['page_size'])
    expect(list(varint('page_size'), 5)).toEqual([])
    expect(list(varint('state'), 99)).toEqual(['state'])
    expect(list(varint('show_deleted'), 2)).toEqual(['show_deleted'])
    const time = (...bytes: number[]) => list((number('after_create_time') << 3) | 2, bytes.length, ...bytes)
    expect(time(8, 5)).toEqual([])
    expect(time(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).toEqual(['after_create_time'])
    expect(time(16, 0x80, 0x94, 0xeb, 0xdc, 3)).toEqual(['after_create_time'])
  })

  it('a message that comes twice is refused: decoders differ about it', () => {
    const once = createBytes({})
    expect(paths('CreateTenantRequest', Buffer.concat([once, once]))).toEqual(['contacts'])
  })

  it('at most 20 violations, at most 1.5 kB, and their total', () => {
    const labels = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`B${i}`, '']))
    const many = check('CreateTenantRequest', createBytes({ labels }))
    const bytes = many.violations.reduce((sum, it) => sum + Buffer.byteLength(it.field) + Buffer.byteLength(it.description), 0)
    expect(many.total).toBe(60)
    expect(many.violations.length).toBe(20)
    expect(bytes).toBeLessThanOrEqual(1500)
    const long = check('CreateTenantRequest', createBytes({ labels: { ['é'.repeat(500_000)]: '1' } }))
    expect(long.violations).toHaveLength(1)
    expect(long.violations[0]!.field.length).toBeLessThanOrEqual(120)
  })

  it('F-19 what passes means the same to both decoders; nothing throws (seeded mutations)', () => {
    const seed = Number(process.env['SEED'] ?? Date.now())
    const n = process.env['N'] === 'full' ? 100_000 : 10_000
    console.log(`seed ${seed}, N ${n}`)
    const random = mulberry(seed)
    const types = [
      [CreateTenantRequest, 'tenant', createBytes({})],
      [
        UpdateTenantRequest,
        'tenant',
        UpdateTenantRequest.encode(UpdateTenantRequest.fromPartial({ tenantId: id, labels: { a: '' }, purgeHold: true })).finish(),
      ],
      [
        ListTenantsRequest,
        'tenant',
        ListTenantsRequest.encode(ListTenantsRequest.fromPartial({ afterCreateTime: new Date(), pageSize: 9 })).finish(),
      ],
      [
        WatchEventsRequest,
        'event',
        WatchEventsRequest.encode(WatchEventsRequest.fromPartial({ tenantId: id, afterSequence: '7' })).finish(),
      ],
    ] as const
    const checkers = types.map(([type]) => checkerOf(messageDesc(type.$type)))
    let accepted = 0
    for (let i = 0; i < n; i++) {
      const which = i % types.length
      const [type, , right] = types[which]!
      const bytes = mutate(right, random)
      const checked = checkers[which]!(bytes)
      expect(checked.total === 0).toBe(checked.violations.length === 0)
      if (checked.total > 0) continue
      accepted++
      const desc: DescMessage = messageDesc(type.$type)
      // Both written again by the same hand, since maps keep no order; times apart, which are dates of whole milliseconds to ts-proto.
      const plain = (message: Uint8Array) => {
        const decoded = fromBinary(desc, message, { readUnknownFields: false })
        return toBinary(desc, Object.assign(decoded, { afterCreateTime: undefined, beforeCreateTime: undefined }))
      }
      const mine = type.encode(type.decode(bytes) as never).finish()
      expect(plain(mine), Buffer.from(bytes).toString('hex')).toEqual(plain(bytes))
    }
    expect(accepted).toBeGreaterThan(n / 100)
  })

  it('patterns of the contract are linear: 1 MB of what they dislike costs less than 200 ms', () => {
    const rules = registry.getExtension('buf.validate.field')!
    const patterns = new Set<string>()
    for (const type of registry) {
      if (type.kind !== 'message') continue
      for (const field of type.fields) {
        const text = JSON.stringify(getOption(field, rules), (_, it) => (typeof it === 'bigint' ? String(it) : it))
        for (const [, pattern] of text.matchAll(/"pattern":"((?:[^"\\]|\\.)+)"/g)) patterns.add(JSON.parse(`"${pattern}"`))
      }
    }
    expect(patterns.size).toBeGreaterThan(5)
    for (const pattern of patterns) {
      for (const piece of ['a', ' ', '@', 'a@', '-', '0', 'a-']) {
        const start = performance.now()
        new RegExp(pattern, 'u').test(`a${piece.repeat(1_000_000 / piece.length)}\n!`)
        expect(performance.now() - start, `${pattern} on ${piece}`).toBeLessThan(2_000)
      }
    }
  })
})

function mutate(right: Uint8Array, random: () => number): Buffer {
  const bytes = Buffer.from(right)
  const at = () => Math.floor(random() * bytes.length)
  for (let n = Math.floor(random() * 3); n >= 0; n--) bytes[at()] = random() < 0.5 ? Math.floor(random() * 256) : (bytes[at()] ?? 0)
  const cut = random() < 0.2 ? bytes.subarray(0, at()) : bytes
  return random() < 0.2 ? Buffer.concat([cut, bytes.subarray(at())]) : cut
}

function mulberry(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

describe('a megabyte of elements', () => {
  const flood = (tag: number, element: readonly number[] = []) =>
    Buffer.concat(
      Array.from({ length: Math.floor(1_048_576 / (2 + element.length)) }, () => Buffer.from([tag, element.length, ...element])),
    )

  it.each([
    ['BatchGetTenantsRequest', flood(10), 'tenant_ids'],
    ['CreateTenantRequest', flood(50, [10, 1, 97, 18, 1, 98]), 'labels'],
  ])('%s: is not looked at one by one, nor told of so', (name, bytes, field) => {
    const { violations, total, decodable } = check(name, bytes)
    expect(decodable).toBe(false)
    expect(total).toBe(1)
    expect(violations).toEqual([{ field, description: expect.stringMatching(/^has more than \d+ elements$/) }])
  })

  it('nor is a message that is there a hundred thousand times', () => {
    const { total, violations, decodable } = check('UpdateTenantRequest', flood(42))
    expect([decodable, violations.length]).toEqual([false, 20])
    expect(total).toBeLessThan(300)
  })
})
