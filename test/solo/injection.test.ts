import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TenantOrder } from '../../gen/customer/tenant/v1/tenant_service.js'
import { Batch } from '../../server/db/batch.js'
import { inTenant, schemaOf } from '../../server/db/in-tenant.js'
import type { TenantTx } from '../../server/db/tx.js'
import { connect, RpcError } from '../support/client.js'
import { newSlug, onboard } from '../support/rpc.js'
import { type Solo, startSolo } from '../support/solo.js'
import { type Bench, openBench } from '../support/transactions.js'

/** All that pools of this process send to PostgreSQL, and what it refused; the service runs in this process. */
const sent = new Map<string, number>()
const refused: { code: string; message: string; text: string }[] = []
const genuine = pg.Client.prototype.query
let solo: Solo
let bench: Bench

beforeAll(async () => {
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const result = (genuine as (...args: unknown[]) => unknown).apply(this, args)
    const note = (text: string, made: unknown) => {
      sent.set(text, (sent.get(text) ?? 0) + 1)
      if (made instanceof Promise)
        made.catch((err: { code?: string; message: string }) => refused.push({ code: err.code ?? '', message: err.message, text }))
    }
    const [asked] = args
    if (asked instanceof Batch) for (const [i, { text }] of asked.statements.entries()) note(text, asked.results[i])
    else note(typeof asked === 'string' ? asked : ((asked as { text?: string }).text ?? ''), result)
    return result
  } as never
  solo = await startSolo({ env: { PLANS: 'standard,enterprise' } })
  bench = await openBench(solo.database)
})
afterAll(async () => {
  pg.Client.prototype.query = genuine
  await bench?.close()
  await solo?.stop()
})

const answerOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'OK',
    (err: unknown) => (err instanceof RpcError ? err.code : String(err)),
  )
/** What PostgreSQL refused during `work`. */
async function refusalsIn(work: () => Promise<unknown>) {
  const before = refused.length
  await work()
  return refused.slice(before)
}

it('C-016 no statement of the service sets anything for the session, or names a table without its schema', async () => {
  const { tenants, events, platform } = solo.clients
  const { id } = await onboard(solo.clients)
  const requestId = () => randomUUID()
  await tenants.updateTenant({ tenantId: id, displayName: 'Other', requestId: requestId() })
  await tenants.suspendTenant({ tenantId: id, reason: 'x', requestId: requestId() })
  await tenants.resumeTenant({ tenantId: id, requestId: requestId() })
  const { slug } = await tenants.getTenant({ tenantId: id })
  await tenants.resolveTenant({ slug })
  for (const orderBy of [
    TenantOrder.TENANT_ORDER_CREATE_TIME_DESC,
    TenantOrder.TENANT_ORDER_CREATE_TIME_ASC,
    TenantOrder.TENANT_ORDER_SLUG_ASC,
  ]) {
    const page = await tenants.listTenants({ pageSize: 1, orderBy, plan: 'standard', region: 'default', showDeleted: true })
    if (page.nextPageToken) await answerOf(tenants.listTenants({ pageSize: 1, orderBy, pageToken: page.nextPageToken }))
  }
  await tenants.listTenants({ labelKey: 'tier', labelValue: 'gold', afterCreateTime: new Date(0), beforeCreateTime: new Date() })
  await tenants.listTenants({ labelKey: 'tier' })
  await events.listEvents({ tenantId: id })
  await platform.getServerInfo({})
  await tenants.deleteTenant({ tenantId: id, requestId: requestId() })
  await tenants.undeleteTenant({ tenantId: id, requestId: requestId() })
  const texts = [...sent.keys()]
  expect(texts.length).toBeGreaterThan(25)
  const sessional = /^\s*(?!set local role )(set|reset|discard|listen|unlisten|prepare|declare|load)\b/i
  expect(texts.filter((text) => sessional.test(text))).toEqual([])
  expect(texts.filter((text) => /set_config|pg_advisory_lock|create temp/i.test(text))).toEqual([])
  // a superuser may read everything, so only a name that pg_catalog does not have can fail
  const client = await solo.superuser.connect()
  const unqualified: string[] = []
  await client.query('set search_path = pg_catalog, pg_temp')
  for (const text of texts.filter((text) => /^\s*(select|insert|update|delete|with)\b/i.test(text))) {
    await client.query(`prepare each as ${text}`).catch((err: { message: string }) => unqualified.push(`${err.message}: ${text}`))
    await client.query('deallocate all')
  }
  client.release(true)
  expect(unqualified).toEqual([])
})

describe('C-021 strings that want to be SQL', () => {
  const strings = [
    `'`,
    `"`,
    `';--`,
    `' or '1'='1`,
    `'; drop schema platform cascade; --`,
    `x'); delete from platform.tenants; --`,
    `\\'; select pg_sleep(5); --`,
    `$1`,
    `$$; reset role; $$`,
    `"; drop table platform.events; --`,
    '%s%I%L{s}',
    `E'\\047'`,
    `/* */ union select secret_hash from platform.platform_api_keys`,
    `{"a":"b"}' @> '`,
    '\\u0000',
    '\\',
    `'||(select current_user)||'`,
    `a\r\nSET ROLE platform_owner`,
    'ʼ or 1=1',
    `U&'\\0027'`,
    '{s}.tenants',
    'a\u0000b',
    '\u202eevil',
    `${"'".repeat(99)}`,
  ]

  it('in every string field of CreateTenant, UpdateTenant and ListTenants: kept as they are or refused, and PostgreSQL refuses nothing', async () => {
    const { tenants } = solo.clients
    const { id } = await onboard(solo.clients)
    const count = async () => (await solo.superuser.query('select count(*)::int as n from platform.tenants')).rows[0].n as number
    const before = await count()
    let made = 0
    const answers: Record<string, number> = {}
    const trying = async (call: Promise<unknown>) => {
      const answer = await answerOf(call)
      answers[answer] = (answers[answer] ?? 0) + 1
      return answer === 'OK'
    }
    const create = (more: object) => onboard(solo.clients, more)
    const update = (more: object) => tenants.updateTenant({ tenantId: id, displayName: 'x', ...more })
    const bad = await refusalsIn(async () => {
      for (const text of strings) {
        const stored = await create({ displayName: text, labels: { a: text } }).catch(() => undefined)
        if (stored) {
          made++
          const read = await tenants.getTenant({ tenantId: stored.id })
          expect([read.displayName, read.labels['a']]).toEqual([text, text])
        }
        for (const field of ['slug', 'ownerEmail', 'plan', 'region', 'requestId']) if (await trying(create({ [field]: text }))) made++
        for (const more of [
          { labels: { [text]: 'a' } },
          { contacts: { billingEmail: text } },
          { contacts: { securityEmail: `${text}@x.example` } },
        ]) {
          if (await trying(create({ ...more, slug: newSlug() }))) made++
          await trying(update(more))
        }
        for (const field of ['tenantId', 'plan', 'etag', 'requestId']) await trying(update({ [field]: text }))
        if (await trying(update({ displayName: text, labels: { a: text } }))) {
          const read = await tenants.getTenant({ tenantId: id })
          expect([read.displayName, read.labels['a']]).toEqual([text, text])
        }
        for (const field of ['plan', 'region', 'labelKey', 'pageToken']) await trying(tenants.listTenants({ [field]: text }))
        await trying(tenants.listTenants({ labelKey: 'a', labelValue: text }))
        await trying(tenants.resolveTenant({ slug: text }))
        await trying(tenants.suspendTenant({ tenantId: id, reason: text, etag: 'stale' }))
      }
    })
    expect(bad).toEqual([])
    expect(await count()).toBe(before + made)
    expect(made).toBeGreaterThan(strings.length / 2)
    expect(Object.keys(answers).filter((code) => !['OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'ABORTED'].includes(code))).toEqual([])
  })

  it('in the credential, and in headers', async () => {
    const bad = await refusalsIn(async () => {
      for (const text of strings.filter((each) => /^[\x20-\x7e]+$/.test(each))) {
        const stranger = connect(solo.address, `ck_${text}`)
        expect(await answerOf(stranger.tenants.listTenants({}))).toMatch(/UNAUTHENTICATED|RESOURCE_EXHAUSTED/)
        stranger.close()
        const headers = { 'x-request-id': text, traceparent: text }
        expect(await answerOf(solo.clients.tenants.listTenants({ pageSize: 1 }, headers))).toMatch(/OK|INVALID_ARGUMENT/)
      }
    })
    expect(bad).toEqual([])
  })

  it('an injection that did get in: no second statement, no other role, no other tenant, no platform', async () => {
    const [one, other] = [await bench.onboard(), await bench.onboard()]
    const foreign = schemaOf(other)
    const injected = (text: string, way: 'tenant' | 'platform' = 'tenant') =>
      inTenant(bench.db, bench.call({ tenantId: one }), (tx: TenantTx) => sql.raw(text).execute(tx[way])).then(
        () => 'ran',
        (err: { code?: string }) => err.code,
      )
    const before = await solo.superuser.query(`select * from ${foreign}.tenant_state`)
    const cases: [string, string][] = [
      [`select 1; reset role; set local role ${foreign}; update ${foreign}.tenant_state set access_revision = 99`, '42601'],
      ['select 1; commit', '42601'],
      [`select set_config('role', '${foreign}', false)`, '42501'],
      [`select pg_catalog.set_config('search_path', '${foreign}', true)`, '42501'],
      [`select * from ${foreign}.roles`, '42501'],
      [`update ${foreign}.tenant_state set access_revision = 99`, '42501'],
      [`select query_to_xml('set local role ${foreign}', true, true, '')`, '0A000'],
      [`select query_to_xml('select * from ${foreign}.roles', true, true, '')`, '42501'],
      ['select * from platform.tenants', '42501'],
      ['select * from roles', '42P01'],
      [`select lo_import('/etc/passwd')`, '42501'],
      [`select pg_read_file('/etc/passwd')`, '42501'],
      [`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay'`, '42501'],
      [`copy (select 1) to program 'true'`, '42501'],
      ['create temporary table mine (n integer)', '42501'],
    ]
    for (const [text, state] of cases) expect(await injected(text), text).toBe(state)
    expect(await injected(`select * from ${foreign}.roles`, 'platform')).toBe('42501')
    expect(await injected(`select * from ${schemaOf(one)}.roles`, 'platform')).toBe('42501')
    expect((await solo.superuser.query(`select * from ${foreign}.tenant_state`)).rows).toEqual(before.rows)
  })

  it('only what is named as a tenant becomes the name of a schema or a role', () => {
    const id = `tnt_${'0a'.repeat(13)}`
    expect(schemaOf(id)).toBe(`t_${'0a'.repeat(13)}`)
    const bad = [
      '',
      'platform',
      'tnt_',
      id.slice(0, -1),
      `${id}0`,
      id.toUpperCase(),
      ` ${id}`,
      `${id}\n`,
      `${id.slice(0, -1)}"`,
      `${id.slice(0, -2)}--`,
    ]
    for (const text of [...bad, ...strings, `tnt_${'ａ'.repeat(26)}`]) expect(() => schemaOf(text), JSON.stringify(text)).toThrow(TypeError)
  })
})
