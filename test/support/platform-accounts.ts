import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PlatformApiKey, PlatformServiceAccount } from '../../gen/customer/platform/v1/platform_account.js'
import { type Clients, connect } from './client.js'
import { refusal } from './refusal.js'
import { type Solo, startSolo } from './solo.js'
import { until } from './until.js'

export const managing = 'platform-manage-accounts'
export const dayMs = 86_400_000
export const nobody = 'psa_00000000000000000000000000'

/** Who calls by a key of its own, made by this room's RPCs. */
export interface Caller {
  readonly account: PlatformServiceAccount
  readonly key: PlatformApiKey
  readonly clients: Clients
  readonly accounts: Clients['platformAccounts']
}

/** A platform of one's own: whoever changes accounts voids what all others read, and the last manager is the whole platform's. */
export interface Room {
  readonly solo: Solo
  /** With the first key. */
  readonly accounts: Clients['platformAccounts']
  /** How far the clock is ahead. */
  shiftMs: number
  account(permissions?: readonly string[]): Promise<PlatformServiceAccount>
  key(account: PlatformServiceAccount, scopes?: readonly string[], expireTime?: Date): Promise<PlatformApiKey>
  /** An account with these permissions, and a key of it. */
  caller(permissions: readonly string[], scopes?: readonly string[], expireTime?: Date): Promise<Caller>
  connect(secret: string): Clients
  /** Changes that have all read what they read before the first of them commits; they commit in this order. */
  atOnce(...changes: (() => Promise<unknown>)[]): Promise<PromiseSettledResult<unknown>[]>
  /** What the work wrote. */
  writtenBy<A>(work: () => Promise<A>): Promise<{ answer: A; audit: Record<string, unknown>[]; raised: number; changed: boolean }>
  /** Fails if the work wrote anything. */
  writingNothing<A>(work: () => Promise<A>): Promise<A>
  stop(): Promise<void>
}

/** Opens the room before the tests of a file and closes it behind them. */
export function theRoom(): () => Room {
  let room: Room
  beforeAll(async () => {
    room = await openRoom()
  })
  afterAll(() => room?.stop())
  return () => room
}

async function openRoom(): Promise<Room> {
  const solo = await startSolo({ deps: { clockShiftMs: () => room.shiftMs } })
  const accounts = solo.clients.platformAccounts
  const opened: Clients[] = []
  const kept = async () => {
    const query = async (text: string) => (await solo.superuser.query(text)).rows
    const audit = await query('select audit_seq, time, entry from platform.platform_audit order by audit_seq')
    const [counters] = await query(`select * from platform.tenant_counters where tenant_id = 'platform'`)
    const state = await query(`select (select jsonb_agg(to_jsonb(a) order by a.id) from platform.platform_service_accounts a) as accounts,
      (select jsonb_agg(to_jsonb(k) order by k.id) from platform.platform_api_keys k) as keys,
      (select count(*) from platform.events) as events`)
    expect(audit.map(({ audit_seq }) => Number(audit_seq))).toEqual(audit.map((_, i) => i + 1))
    expect(Number(counters.audit_seq)).toBe(audit.length)
    return { audit, revision: Number(counters.access_revision), state: JSON.stringify([counters, state]) }
  }
  const waiting = async () => {
    const text = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    return Number((await solo.superuser.query(text)).rows[0].count)
  }
  const room: Room = {
    solo,
    accounts,
    shiftMs: 0,
    account: (permissions = ['platform-view-tenants']) =>
      accounts.createPlatformServiceAccount({ displayName: 'Tool', permissions: [...permissions] }),
    key: ({ id, permissions }, scopes = permissions, expireTime) =>
      accounts.createPlatformApiKey({ platformServiceAccountId: id, displayName: 'Key', scopes: [...scopes], expireTime }),
    async caller(permissions, scopes = permissions, expireTime) {
      const account = await room.account(permissions)
      const key = await room.key(account, scopes, expireTime)
      const clients = room.connect(key.secret)
      return { account, key, clients, accounts: clients.platformAccounts }
    },
    connect(secret) {
      const clients = connect(solo.address, secret)
      opened.push(clients)
      return clients
    },
    async atOnce(...changes) {
      const holder = await solo.superuser.connect()
      const running: Promise<unknown>[] = []
      try {
        await holder.query('begin')
        await holder.query(`select from platform.tenant_counters where tenant_id = 'platform' for no key update`)
        for (const change of changes) {
          running.push(change())
          await until(async () => (await waiting()) === running.length, { timeoutMs: 10_000 })
        }
      } finally {
        await holder.query('commit')
        holder.release()
      }
      return Promise.allSettled(running)
    },
    async writtenBy(work) {
      const before = await kept()
      const answer = await work()
      const after = await kept()
      return {
        answer,
        audit: after.audit.slice(before.audit.length).map(({ entry }) => JSON.parse(entry) as Record<string, unknown>),
        raised: after.revision - before.revision,
        changed: after.state !== before.state,
      }
    },
    async writingNothing(work) {
      const { answer, ...rest } = await room.writtenBy(work)
      expect(rest).toEqual({ audit: [], raised: 0, changed: false })
      return answer
    },
    async stop() {
      for (const each of opened) each.close()
      await solo.stop()
    },
  }
  return room
}

type Rpc = Exclude<
  keyof Clients['platformAccounts'],
  'getPlatformServiceAccount' | 'listPlatformServiceAccounts' | 'listPlatformApiKeys' | number | symbol
>

export interface Change {
  readonly rpc: Rpc
  /** A request that changes something, of an account (or a key of one) that holds `platform-view-tenants`. */
  readonly request: (room: Room) => Promise<Record<string, unknown>>
  readonly action: string
  readonly target: 'serviceAccounts' | 'apiKeys'
  /** Of an id that nobody has; undefined: it makes something new. */
  readonly unknown?: { readonly [id: string]: string }
  /** Fields that break their rules, in field order. */
  readonly bad: Record<string, unknown>
}

const snake = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** What holds for each of the RPCs that change accounts and keys. */
export function describeChange(room: () => Room, { rpc, request, action, target, unknown, bad }: Change): void {
  const by = (accounts: Clients['platformAccounts'], asked: object, headers?: Record<string, string>) =>
    (accounts[rpc] as (request: object, headers?: Record<string, string>) => Promise<PlatformServiceAccount | PlatformApiKey>)(
      asked,
      headers,
    )
  const call = (asked: object, headers?: Record<string, string>) => by(room().accounts, asked, headers)

  describe(`every change: ${rpc}`, () => {
    it('OK: one entry in the platform’s trail, and the platform’s access_revision is higher by one', async () => {
      const asked = await request(room())
      const { answer, audit, raised } = await room().writtenBy(() => call(asked, { 'x-request-id': 'call-1' }))
      expect(raised).toBe(1)
      expect(audit).toEqual([
        {
          id: expect.stringMatching(/^aud_/),
          action,
          tenant_id: 'platform',
          actor: { type: 'platform-service-account', id: expect.stringMatching(/^psa_/), key_id: expect.stringMatching(/^pky_/) },
          request_id: 'call-1',
          target: `platform/${target}/${answer.id}`,
          ...('reason' in asked ? { reason: asked['reason'] } : {}),
          ...(rpc === 'updatePlatformServiceAccount' ? { changed_fields: ['display_name'] } : {}),
        },
      ])
    })

    it('C-076 the same request_id gives the first answer again and writes nothing; five at once have one effect', async () => {
      const asked = { ...(await request(room())), requestId: randomUUID() }
      const { answer, audit } = await room().writtenBy(() => Promise.all([1, 2, 3, 4, 5].map(() => call(asked))))
      expect(new Set(answer.map((it) => JSON.stringify(it))).size).toBe(1)
      expect(audit).toHaveLength(1)
      expect(await room().writingNothing(() => call({ ...asked, requestId: asked.requestId.toUpperCase() }))).toEqual(answer[0])
      const other = rpc === 'revokePlatformApiKey' ? await request(room()) : { displayName: 'Other', etag: 'x' }
      expect(await room().writingNothing(() => refusal(call({ ...asked, ...other })))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        reason: 'REQUEST_ID_REUSED',
      })
    })

    it('INVALID_ARGUMENT: every field that breaks its rule, writing nothing', async () => {
      const asked = await request(room())
      const refused = await room().writingNothing(() => refusal(call({ ...asked, ...bad, requestId: 'no-uuid' })))
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
      const fields = new Set(refused.violations.map(({ field }) => field.replace(/\[.*/, '')))
      expect([...fields]).toEqual([...Object.keys(bad).map(snake), 'request_id'])
      for (const field of Object.keys(unknown ?? {})) {
        for (const wrong of ['', 'psa_X', `${asked[field]}:suspend`, String(asked[field]).toUpperCase()]) {
          expect((await refusal(call({ ...asked, [field]: wrong }))).violations).toMatchObject([{ field: snake(field) }])
        }
      }
    })

    it('PERMISSION_DENIED: without platform-manage-accounts, whatever else the key opens', async () => {
      const { accounts } = await room().caller(['platform-manage-tenants', 'platform-view-tenants', 'manage-users'])
      const asked = await request(room())
      expect(await room().writingNothing(() => refusal(by(accounts, asked)))).toMatchObject({
        code: 'PERMISSION_DENIED',
        reason: 'PERMISSION_MISSING',
        metadata: { permission: managing },
      })
    })

    if (!unknown) return
    it('NOT_FOUND: one that is not there', async () => {
      const asked = await request(room())
      expect(await room().writingNothing(() => refusal(call({ ...asked, ...unknown })))).toMatchObject({
        code: 'NOT_FOUND',
        reason: 'platformApiKeyId' in unknown ? 'PLATFORM_API_KEY_NOT_FOUND' : 'PLATFORM_SERVICE_ACCOUNT_NOT_FOUND',
      })
    })

    it('C-012 PERMISSION_DENIED TARGET_OUTRANKS_CALLER: whose account holds more than the caller’s key now opens, writing nothing', async () => {
      const less = await room().caller([managing])
      // its account holds as much, its key does not
      const narrow = await room().caller([managing, 'platform-view-tenants'], [managing])
      const enough = await room().caller([managing, 'platform-view-tenants'])
      const asked = await request(room())
      for (const { accounts } of [less, narrow]) {
        expect(await room().writingNothing(() => refusal(by(accounts, asked)))).toMatchObject({
          code: 'PERMISSION_DENIED',
          reason: 'TARGET_OUTRANKS_CALLER',
          metadata: { permission: 'platform-view-tenants' },
        })
      }
      expect((await room().writtenBy(() => by(enough.accounts, asked))).audit).toHaveLength(1)
    })
  })
}
