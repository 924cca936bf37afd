import { randomUUID } from 'node:crypto'
import type { DescMethod } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tenant } from '../gen/customer/tenant/v1/tenant.js'
import { pathOf, services } from '../server/contract/descriptors.js'
import { declaredPermissions, policyOf } from '../server/contract/policies.js'
import { bindingOf, httpRulesOf } from '../server/contract/routes.js'
import { checkerOf } from '../server/contract/validator.js'
import { makeSecret } from '../server/keys/secret.js'
import type { RpcError } from './support/client.js'
import { type HeaderProxy, headerProxy } from './support/header-proxy.js'
import { makeKey, type TestKey } from './support/keys.js'
import { type Headers, type RawCaller, rawCaller } from './support/raw-call.js'
import { newSlug, onboard, theClients, thePool, theServer, theSuperuser } from './support/rpc.js'
import { type Fields, mutated, mutations, oversizedOf, sampleOf } from './support/samples.js'
import { keptOf } from './support/written.js'

/** What holds for every RPC, of today and of tomorrow: nothing here names one. */
const methods = services().flatMap((service) => service.methods)
const each = methods.map((it) => [pathOf(it), it] as const)
const guarded = each.filter(([, it]) => !policyOf(it).scopes.includes('PUBLIC'))
const permitted = guarded.filter(([, it]) => policyOf(it).permissions.length > 0)
const has = ({ input }: DescMethod, name: string) => input.fields.some((field) => field.name === name)

const n = process.env['N'] === 'full' ? 100_000 : 1_000
const unknownTenant = 'tnt_00000000000000000000000000'
const label = `contract-${randomUUID().slice(0, 8)}`
const garbage = Buffer.from('0b0cfffffffff7ff00', 'hex')
const nothing = new Uint8Array()
const bearer = (key: string): [string, string] => ['authorization', `Bearer ${key}`]

const clients = theClients()
const { call, said, close } = rawCaller(theServer().address)
let tenant: Tenant
let all: TestKey
let full: Headers
let proxy: HeaderProxy
let twice: RawCaller
beforeAll(async () => {
  tenant = await onboard(clients, { slug: newSlug('contract') })
  all = await makeKey(thePool(), [...declaredPermissions()])
  full = [bearer(all.key)]
  proxy = await headerProxy(theServer().address, ...bearer(all.key))
  twice = rawCaller(proxy.address)
})
afterAll(async () => {
  for (const it of [clients, twice, { close }]) it.close()
  await proxy.stop()
})

/** A right message, about this file's tenant; what could make another one is a mere check. */
const own = (): Fields => ({ tenant_id: tenant.id, slug: tenant.slug, label_key: label, etag: '', validate_only: true })
const sample = (method: DescMethod, given: Fields = {}) => {
  const fields = Object.entries({ ...own(), ...given }).filter(([name]) => has(method, name))
  return sampleOf(method.input, Object.fromEntries(fields), label)
}

/** All that a call of this file's keys could have left behind. */
async function footprint(): Promise<string> {
  const counts = await theSuperuser().query(
    `select (select count(*) from platform.tenants where labels ? $1) as tenants,
      (select count(*) from platform.idempotency_keys where caller = $2) as claims`,
    [label, all.accountId],
  )
  return JSON.stringify([await keptOf(tenant.id), counts.rows])
}
async function leavingNothing<A>(work: () => Promise<A>): Promise<A> {
  const before = await footprint()
  const answer = await work()
  expect(await footprint()).toBe(before)
  return answer
}

const told = (it: RpcError | undefined) => ({
  code: it?.code ?? 'OK',
  reason: it?.reason,
  message: it?.message,
  details: it?.trailers.get('grpc-status-details-bin').map((bytes) => (bytes as Buffer).toString('hex')),
})

/** Calls with each of these messages, and expects the same bytes for all. */
async function sameFor(method: DescMethod, headers: Headers, messages: readonly Uint8Array[]) {
  const answers = await Promise.all(messages.map((bytes) => call(method, bytes, headers)))
  for (const it of answers) expect(told(it)).toEqual(told(answers[0]))
  return answers[0]
}

const anyMessage = (method: DescMethod) => [
  sample(method),
  sample(method, { tenant_id: unknownTenant, slug: newSlug() }),
  sample(method, { tenant_id: 'no id', slug: "'; drop" }),
  nothing,
  garbage,
]

describe.each(guarded)('%s', (_, method) => {
  const none: [string, Headers][] = [
    ['at all', []],
    [
      'but a tenant and a user in headers',
      Object.entries({ 'x-tenant-id': unknownTenant, 'x-user-id': 'usr_1', 'x-forwarded-user': 'root' }),
    ],
  ]
  it.each(none)('C-010 C-011 UNAUTHENTICATED: no credential %s, whatever the message names, in the same words', async (_, headers) => {
    const refused = await leavingNothing(() => sameFor(method, headers, anyMessage(method)))
    expect(refused).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_MISSING' })
  })

  it('UNAUTHENTICATED: two credentials, even twice the same right one', async () => {
    expect(await leavingNothing(() => twice.call(method, sample(method), full))).toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'CREDENTIAL_MISSING',
    })
  })

  it('UNAUTHENTICATED: a credential that is wrong, revoked or expired, or on behalf of somebody, in the same words', async () => {
    const revoked = await makeKey(thePool(), [...declaredPermissions()])
    await revoked.revoke()
    const expired = await makeKey(thePool(), [...declaredPermissions()], new Date(0))
    const wrong: Headers[] = [
      [bearer('ck_wrong')],
      [bearer(makeSecret('ck', '', all.keyId))],
      [bearer(makeSecret('ck', '', tenant.id))],
      [bearer(makeSecret('ck', tenant.id, all.keyId))],
      [bearer(revoked.key)],
      [bearer(expired.key)],
      [['authorization', `Basic ${all.key}`]],
      [['authorization', all.key]],
      [...full, ['x-on-behalf-of', 'a.b.c']],
    ]
    const answers = await leavingNothing(() => Promise.all(wrong.map((headers) => call(method, sample(method), headers))))
    for (const it of answers) expect(told(it)).toEqual(told(answers[0]))
    expect(answers[0]).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
  })
})

describe.each(permitted)('%s', (_, method) => {
  const { permissions } = policyOf(method)

  it('C-013 PERMISSION_DENIED: with every other permission and names that only look alike, before the message and the tenant are looked at', async () => {
    const alike = permissions.flatMap((it) => [
      `${it}s`,
      it.slice(0, -1),
      it.toUpperCase(),
      `x-${it}`,
      `${it}-all`,
      it.replace(/^platform-/, ''),
    ])
    const scopes = [...declaredPermissions(), ...alike, 'platform-*'].filter((it) => !permissions.includes(it))
    const key = await makeKey(thePool(), [...new Set(scopes)])
    const refused = await leavingNothing(() => sameFor(method, [bearer(key.key)], anyMessage(method)))
    expect(refused).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'PERMISSION_MISSING' })
    expect(permissions).toContain(refused!.metadata['permission'])
  })

  it.each(permissions)('%s alone opens it: an unknown tenant is NOT_FOUND, a wrong message INVALID_ARGUMENT', async (permission) => {
    const key = await makeKey(thePool(), [permission])
    await leavingNothing(async () => {
      const unknown = await call(method, sample(method, { tenant_id: unknownTenant }), [bearer(key.key)])
      if (has(method, 'tenant_id')) expect(unknown).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
      expect(await call(method, garbage, [bearer(key.key)])).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
    })
  })
})

describe.each(each)('%s', (_, method) => {
  it('its sample is a right message: every string that may not be empty has an example beside it', () => {
    expect(checkerOf(method.input)(sample(method)).violations).toEqual([])
  })

  it('INVALID_ARGUMENT: an empty message, unless nothing in it is needed', async () => {
    const allowed = checkerOf(method.input)(nothing).total === 0
    if (
      httpRulesOf(method)
        .map(bindingOf)
        .some(({ path }) => path.includes('{tenant_id}')) ||
      policyOf(method).scopes.includes('TENANT')
    )
      expect(allowed).toBe(false)
    const answer = await leavingNothing(() => call(method, nothing, full))
    expect(answer?.code).toBe(allowed ? undefined : 'INVALID_ARGUMENT')
  })

  it('INVALID_ARGUMENT: any of its strings with 100,000 characters, by name', async () => {
    await leavingNothing(async () => {
      const fields = Object.fromEntries(Object.entries(own()).filter(([name]) => has(method, name)))
      for (const { field, bytes } of oversizedOf(method.input, fields, label)) {
        const refused = await call(method, bytes, full)
        expect(refused, field).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
        expect(refused!.violations[0]?.field, field).toMatch(new RegExp(`^${field}\\b`))
      }
    })
  })

  it('RESOURCE_EXHAUSTED: a message above 1 MB', async () => {
    const padding = Buffer.alloc(1_100_000)
    const length = Buffer.from([0xfa, 0x7f, 0xe0, 0x91, 0x43])
    const refused = await leavingNothing(() => call(method, Buffer.concat([sample(method), length, padding]), full))
    expect(refused?.code).toBe('RESOURCE_EXHAUSTED')
  })
})

it('C-010 never OK: an RPC, a service or a version that is not there', async () => {
  for (const [path] of each) {
    for (const other of [`${path}x`, path.replace('.v1.', '.v0.'), path.toLowerCase(), path.replace('/', '//')]) {
      expect((await call(other, nothing, full))?.code).toBe('UNIMPLEMENTED')
    }
  }
})

it('F-19 C-066 mutated messages: what breaks a rule is INVALID_ARGUMENT and leaves nothing; INTERNAL and UNKNOWN never', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  const samples = methods.map((it) => sample(it))
  const checks = methods.map((it) => checkerOf(it.input))
  const spoiled = fc
    .sample(mutations(methods.length), { numRuns: n, seed })
    .map((it) => ({ nth: it.nth, bytes: mutated(samples[it.nth]!, it) }))
  const isBroken = ({ nth, bytes }: (typeof spoiled)[number]) => checks[nth]!(bytes).total > 0
  const codes = new Map<string, number>()
  const send = async (these: typeof spoiled, timeoutMs: number, expected: RegExp) => {
    const rest = [...these]
    const worker = async () => {
      for (let it = rest.pop(); it; it = rest.pop()) {
        const code = (await call(methods[it.nth]!, it.bytes, full, timeoutMs))?.code ?? 'OK'
        codes.set(code, (codes.get(code) ?? 0) + 1)
        expect(code, `${pathOf(methods[it.nth]!)} ${Buffer.from(it.bytes).toString('hex')}`).toMatch(expected)
      }
    }
    await Promise.all(Array.from({ length: 8 }, worker))
  }
  const broken = spoiled.filter(isBroken)
  await leavingNothing(() => send(broken, 15_000, /^INVALID_ARGUMENT$/))
  // A stream that is open and has nothing to tell ends by its deadline.
  const right = spoiled.filter((it) => !isBroken(it))
  await send(
    right.filter(({ nth }) => methods[nth]!.methodKind === 'unary'),
    15_000,
    /^(?!INTERNAL|UNKNOWN|UNAVAILABLE|DEADLINE)/,
  )
  await send(
    right.filter(({ nth }) => methods[nth]!.methodKind !== 'unary'),
    300,
    /^(?!INTERNAL|UNKNOWN|UNAVAILABLE)/,
  )
  console.log(`F-19 seed ${seed}, N ${n}: broken ${broken.length}, ${JSON.stringify(Object.fromEntries(codes))}`)
  expect(broken.length).toBeGreaterThan(n / 4)
  expect(right.length).toBeGreaterThan(n / 100)
}, 1_800_000)

it('C-065 no error of this file tells of SQL, schemas, files or stacks', () => {
  expect(said.size).toBeGreaterThan(methods.length)
  const internals =
    /\b(select|insert|update|delete)\b.*\b(from|into|set|where)\b|SQLSTATE|syntax error|relation "|\bt_[0-9a-z]{26}\b|\bpg_\w+|(?<!customer\.)\bplatform\.[a-z_]+|\blib\.\w+|node_modules|\.[jt]s:\d+|\bat \w+ \(|\/(server|dist|home|tmp)\/|localhost|127\.0\.0\.1|TypeError|undefined/i
  for (const text of said) expect(text).not.toMatch(internals)
})
