import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { PlatformApiKeyState } from '../../../gen/customer/platform/v1/platform_account.js'
import { expireIdempotencyKeys } from '../../../server/db/expire-idempotency-keys.job.js'
import { openPool } from '../../../server/db/pool.js'
import { hashSecret } from '../../../server/keys/secret.js'
import { dayMs, describeChange, managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'
import { onboard } from '../../support/rpc.js'

const room = theRoom()
const minuteMs = 60_000

describeChange(room, {
  rpc: 'createPlatformApiKey',
  request: async (it) => ({
    platformServiceAccountId: (await it.account()).id,
    displayName: 'Key',
    scopes: ['platform-view-tenants'],
  }),
  action: 'platform-api-key.create',
  target: 'apiKeys',
  unknown: { platformServiceAccountId: nobody },
  bad: { displayName: 'x'.repeat(201), scopes: [] },
})

it('OK: a key that works, good for 90 days, its scopes in order', async () => {
  const account = await room().account(['platform-view-tenants', 'platform-manage-tenants', 'view-tenant'])
  const made = await room().accounts.createPlatformApiKey({
    platformServiceAccountId: account.id,
    displayName: 'Night job',
    scopes: ['view-tenant', 'platform-manage-tenants'],
  })
  expect(made).toEqual({
    id: expect.stringMatching(/^pky_[0-9a-z]{26}$/),
    platformServiceAccountId: account.id,
    displayName: 'Night job',
    scopes: ['platform-manage-tenants', 'view-tenant'],
    state: PlatformApiKeyState.PLATFORM_API_KEY_STATE_ACTIVE,
    secret: expect.stringMatching(/^ck_p_[0-9a-z]{26}_[0-9a-z]{52}_[0-9a-z]{7}$/),
    createTime: expect.any(Date),
    expireTime: new Date(made.createTime!.getTime() + 90 * dayMs),
    revokeTime: undefined,
  })
  const clients = room().connect(made.secret)
  const { id: tenantId } = await onboard(clients)
  expect((await clients.tenants.getTenant({ tenantId })).id).toBe(tenantId)
  expect(await refusal(clients.tenants.listTenants({}))).toMatchObject({ code: 'PERMISSION_DENIED' })
  expect((await clients.platform.getServerInfo({})).principal).toBe(account.id)
})

it('OK: of the holder of the first key, who holds all: only names go into a key, and only that holder may make one', async () => {
  const { principal } = await room().solo.clients.platform.getServerInfo({})
  const make = (accounts = room().accounts, scopes = ['manage-users']) =>
    accounts.createPlatformApiKey({ platformServiceAccountId: principal, displayName: 'k', scopes })
  expect((await make()).scopes).toEqual(['manage-users'])
  for (const scopes of [['*'], ['view-moon']]) {
    expect((await refusal(make(room().accounts, scopes))).violations).toMatchObject([{ field: 'scopes[0]' }])
  }
  const { permissions } = await room().account([managing, 'manage-users'])
  const { accounts } = await room().caller(permissions)
  expect(await refusal(make(accounts))).toMatchObject({ reason: 'TARGET_OUTRANKS_CALLER', metadata: { permission: '*' } })
})

it('INVALID_ARGUMENT: a scope that the account does not hold, more than 64, one twice; writing nothing', async () => {
  const account = await room().account(['platform-view-tenants', 'view-tenant'])
  const violated = async (scopes: string[]) =>
    (await room().writingNothing(() => refusal(room().key(account, scopes)))).violations.map(({ field }) => field)
  expect(await violated(['view-tenant', 'platform-manage-tenants'])).toEqual(['scopes[1]'])
  expect(await violated(['platform-view'])).toEqual(['scopes[0]'])
  expect(await violated(['view-tenant', 'view-tenant'])).toEqual(['scopes'])
  expect(await violated(Array.from({ length: 65 }, (_, i) => `a-${'x'.repeat(i % 50)}y`))).toContain('scopes')
})

it('INVALID_ARGUMENT: an expire_time that has passed, or is more than 365 days ahead; OK up to that', async () => {
  const account = await room().account()
  for (const aheadMs of [-1_000, 365 * dayMs + minuteMs]) {
    const refused = await room().writingNothing(() => refusal(room().key(account, undefined, new Date(Date.now() + aheadMs))))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', violations: [{ field: 'expire_time' }] })
  }
  const expireTime = new Date(Date.now() + 365 * dayMs - minuteMs)
  expect((await room().key(account, undefined, expireTime)).expireTime).toEqual(expireTime)
})

it('FAILED_PRECONDITION: of a deleted account; of a suspended one it is made, and good when that is resumed', async () => {
  const account = await room().account(['platform-view-tenants'])
  const platformServiceAccountId = account.id
  await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId })
  const clients = room().connect((await room().key(account)).secret)
  expect(await refusal(clients.tenants.listTenants({}))).toMatchObject({ code: 'UNAUTHENTICATED' })
  await room().accounts.resumePlatformServiceAccount({ platformServiceAccountId })
  await expect.poll(() => clients.tenants.listTenants({}).then(({ tenants }) => tenants.length), { timeout: 10_000 }).toBeGreaterThan(0)
  await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId })
  expect(await room().writingNothing(() => refusal(room().key(account)))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'PLATFORM_SERVICE_ACCOUNT_DELETED',
  })
})

it('C-061 an expired key opens nothing, by the database’s clock; one that has not expired does', async () => {
  const short = await room().caller(['platform-view-tenants'], undefined, new Date(Date.now() + 60 * minuteMs))
  const long = await room().caller(['platform-view-tenants'])
  await short.clients.tenants.listTenants({})
  try {
    room().shiftMs = 61 * minuteMs
    expect(await refusal(short.clients.tenants.listTenants({}))).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
    await long.clients.tenants.listTenants({})
    const { platformApiKeys } = await room().accounts.listPlatformApiKeys({ platformServiceAccountId: short.account.id })
    expect(platformApiKeys).toMatchObject([{ id: short.key.id, state: PlatformApiKeyState.PLATFORM_API_KEY_STATE_EXPIRED }])
  } finally {
    room().shiftMs = 0
  }
})

/** Every value of every table of the platform, as text. */
async function everythingKept(): Promise<string> {
  const { rows: tables } = await room().solo.superuser.query(
    `select relname from pg_class where relnamespace = 'platform'::regnamespace and relkind in ('r', 'p')`,
  )
  const kept: unknown[] = []
  for (const { relname } of tables) kept.push(...(await room().solo.superuser.query(`select * from platform.${relname}`)).rows)
  const texts = (value: unknown): string[] =>
    Buffer.isBuffer(value)
      ? [value.toString('latin1'), value.toString('hex'), value.toString('base64')]
      : typeof value === 'object' && value !== null
        ? Object.values(value).flatMap(texts)
        : [String(value)]
  return kept.flatMap(texts).join('\n')
}

it('C-061 C-076 the secret comes with the first answer and with its repeats for 10 minutes, after that the key without it', async () => {
  const account = await room().account()
  const asked = { platformServiceAccountId: account.id, displayName: 'Key', scopes: account.permissions, requestId: randomUUID() }
  const ask = () => room().accounts.createPlatformApiKey(asked)
  const first = await ask()
  const sealed = async () => Number((await room().solo.superuser.query('select count(*) from platform.sealed_answers')).rows[0].count)
  const retention = openPool({ url: room().solo.database.urls.retention, max: 1 })
  const job = expireIdempotencyKeys({ pool: retention, clockShiftMs: () => room().shiftMs })
  try {
    expect(first.secret).toMatch(/^ck_p_/)
    room().shiftMs = 9 * minuteMs
    await job.run({ signal: new AbortController().signal } as never)
    expect(await sealed()).toBeGreaterThan(0)
    expect(await room().writingNothing(ask)).toEqual(first)
    room().shiftMs = 11 * minuteMs
    expect(await room().writingNothing(ask)).toEqual({ ...first, secret: '' })
    await job.run({ signal: new AbortController().signal } as never)
    expect(await sealed()).toBe(0)
    room().shiftMs = 0
    expect(await ask()).toEqual({ ...first, secret: '' })
  } finally {
    room().shiftMs = 0
    await retention.end()
  }
})

it('C-005 C-061 C-085 no secret stands in a table, an event or a log line; its hash does, and other answers do not show it', async () => {
  const account = await room().account()
  const requestId = randomUUID()
  const { id, secret } = await room().accounts.createPlatformApiKey({
    platformServiceAccountId: account.id,
    displayName: 'Key',
    scopes: account.permissions,
    requestId,
  })
  await room().connect(secret).tenants.listTenants({})
  await refusal(room().connect(`${secret}x`).tenants.listTenants({}))
  const [, , , random = ''] = secret.split('_')
  const kept = await everythingKept()
  expect(kept).toContain(requestId)
  expect(kept).toContain(hashSecret(secret).toString('hex'))
  for (const part of [secret, random, Buffer.from(secret).toString('base64').slice(0, 60)]) expect(kept).not.toContain(part)
  const lines = JSON.stringify(room().solo.lines)
  expect(lines).toContain('CreatePlatformApiKey')
  expect(lines).not.toContain(random)
  const { platformApiKeys } = await room().accounts.listPlatformApiKeys({ platformServiceAccountId: account.id })
  expect(platformApiKeys).toMatchObject([{ id, secret: '' }])
  expect(JSON.stringify(await room().accounts.revokePlatformApiKey({ platformApiKeyId: id }))).not.toContain(random)
})
