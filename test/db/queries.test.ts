import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import type { AccessRow, DbCall } from '../../server/db/call.js'
import { closingStatements } from '../../server/db/closing.js'
import { connectOnce } from '../../server/db/connect.js'
import { schemaOf } from '../../server/db/in-tenant.js'
import type { Statement } from '../../server/db/statement.js'
import type { TenantTx } from '../../server/db/tx.js'
import * as leases from '../../server/jobs/leases.repo.js'
import * as partitions from '../../server/outbox/event-partitions.repo.js'
import * as poll from '../../server/outbox/poll.repo.js'
import * as relay from '../../server/outbox/relay.repo.js'
import * as replay from '../../server/outbox/replay.repo.js'
import * as deadLetters from '../../server/services/events/dead-letters.repo.js'
import * as delivery from '../../server/services/events/delivery.repo.js'
import * as events from '../../server/services/events/events.repo.js'
import * as replays from '../../server/services/events/replays.repo.js'
import { newReplay } from '../../server/services/events/replays.rules.js'
import * as invitations from '../../server/services/invitations/invitations.repo.js'
import * as accounts from '../../server/services/platform-accounts/platform-accounts.repo.js'
import { newAccount } from '../../server/services/platform-accounts/platform-accounts.rules.js'
import * as apiKeys from '../../server/services/platform-accounts/platform-api-keys.repo.js'
import * as serviceAccounts from '../../server/services/platform-accounts/platform-service-accounts.repo.js'
import * as roles from '../../server/services/roles/roles.repo.js'
import { defaultRoles } from '../../server/services/roles/roles.rules.js'
import * as purges from '../../server/services/tenants/purges.repo.js'
import * as settings from '../../server/services/tenants/settings.repo.js'
import { settled } from '../../server/services/tenants/settings.rules.js'
import type { StoredSettings } from '../../server/services/tenants/settings.table.js'
import * as tenants from '../../server/services/tenants/tenants.repo.js'
import { newTenantRow } from '../../server/services/tenants/tenants.rules.js'
import { recordingTx } from '../support/recording-tx.js'
import { onboard, theClients, theServer } from '../support/rpc.js'

/** A sample call of every function of a repo: a forgotten one does not compile. */
type Samples<R> = {
  readonly [K in keyof R as R[K] extends (...args: never[]) => unknown ? K : never]: (tx: TenantTx, pool: pg.Pool) => unknown
}

const now = new Date('2026-01-01T00:00:00Z')
const allEvents = { afterSequence: '', untilSequence: '' }
const clients = theClients()
afterAll(() => clients.close())

const isStatement = (made: unknown): made is Statement => typeof made === 'object' && made !== null && 'text' in made

it('queries.sql is every query of the repos; each names its schema and can be prepared', async () => {
  const tenant = await onboard(clients)
  const row = newTenantRow(
    {
      id: tenant.id,
      slug: 'acme',
      display_name: 'Acme',
      plan: 'standard',
      region: 'default',
      labels: {},
      billing_email: null,
      security_email: null,
    },
    now,
    1,
  )
  const filter = {
    state: undefined,
    plan: '',
    region: '',
    labelKey: '',
    labelValue: '',
    afterCreateTime: undefined,
    beforeCreateTime: undefined,
    showDeleted: true,
  }
  const key = { accountId: 'psa', keyId: 'pky', secretHash: Buffer.alloc(32), audit: '{}' }
  const tenantSamples: Samples<typeof tenants> = {
    readTenants: (tx) => tenants.readTenants(tx, [tenant.id]),
    readTenant: (tx) => tenants.readTenant(tx),
    lockTenant: (tx) => tenants.lockTenant(tx),
    findTenantBySlug: (tx) => tenants.findTenantBySlug(tx, 'acme'),
    slugHolder: (tx) => tenants.slugHolder(tx, 'acme'),
    insertTenant: (tx) => tenants.insertTenant(tx, row),
    updateTenant: (tx) => tenants.updateTenant(tx, row),
    listTenants: async (tx) => {
      const at = { at: '2026-01-01', slug: 'acme', id: tenant.id }
      await tenants.listTenants(tx, { ...filter, order: 'create_time_desc' }, undefined, 50)
      await tenants.listTenants(tx, { ...filter, order: 'create_time_asc', state: 'ACTIVE', plan: 'p', region: 'r', labelKey: 'k' }, at, 50)
      const between = { afterCreateTime: now, beforeCreateTime: now, labelKey: 'k', labelValue: 'v', showDeleted: false }
      await tenants.listTenants(tx, { ...filter, ...between, order: 'slug_asc' }, at, 50)
    },
    freeSlugLike: (_, pool) => tenants.freeSlugLike(pool, 'acme'),
  }
  const purgeSamples: Samples<typeof purges> = {
    eraseTenant: (tx) => purges.eraseTenant(tx, row, now, '{}'),
    lockPurge: (tx) => purges.lockPurge(tx, tenant.id),
    closePurge: (tx) => purges.closePurge(tx, tenant.id),
    findUnfinished: () => purges.findUnfinished(),
    findDue: () => purges.findDue('0 milliseconds', '', 100),
  }
  const settingsSamples: Samples<typeof settings> = {
    lastReadSettings: (tx) => settings.lastReadSettings(tx),
    readSettings: (tx) => settings.readSettings(tx),
    updateSettings: (tx) => settings.updateSettings(tx, settled({ settings_update_time: now } as StoredSettings, now)),
  }
  const roleSamples: Samples<typeof roles> = { insertRoles: (tx) => roles.insertRoles(tx, defaultRoles(now)) }
  const invitationSamples: Samples<typeof invitations> = {
    insertInvitation: (tx) =>
      invitations.insertInvitation(tx, {
        id: 'inv',
        email: 'a@b.example',
        role_keys: ['r'],
        owner: true,
        invited_by: 'psa',
        create_time: now,
        expire_time: now,
      }),
  }
  const at = { at: '2026-01-01', id: 'psa' }
  const account = newAccount({ id: 'psa', display_name: 'd', permissions: ['a-b'] }, now)
  const accountSamples: Samples<typeof accounts & typeof serviceAccounts & typeof apiKeys> = {
    findPlatformKey: (_, pool) => accounts.findPlatformKey(pool, 'pky', '0 milliseconds'),
    findBootstrapKey: (_, pool) => accounts.findBootstrapKey(pool, '0 milliseconds'),
    insertFirstKey: (_, pool) => accounts.insertFirstKey(pool, key),
    insertRecoveredKey: (_, pool) => accounts.insertRecoveredKey(pool, { ...key, scopes: ['a-b'], goodForDays: 90 }),
    insertPlatformKey: (_, pool) => accounts.insertPlatformKey(pool, { ...key, displayName: 'd', scopes: ['a-b'], expireTime: null }),
    revokePlatformKey: (_, pool) => accounts.revokePlatformKey(pool, 'pky'),
    readAccount: (tx) => serviceAccounts.readAccount(tx, 'psa'),
    lockAccount: (tx) => serviceAccounts.lockAccount(tx, 'psa'),
    insertAccount: (tx) => serviceAccounts.insertAccount(tx, account),
    updateAccount: (tx) => serviceAccounts.updateAccount(tx, account),
    listAccounts: async (tx) => {
      await serviceAccounts.listAccounts(tx, { state: undefined, showDeleted: true }, undefined, 50)
      for (const state of ['ACTIVE', 'SUSPENDED', 'DELETED'] as const)
        await serviceAccounts.listAccounts(tx, { state, showDeleted: false }, at, 50)
    },
    lockKey: (tx) => apiKeys.lockKey(tx, 'pky'),
    insertKey: (tx) =>
      apiKeys.insertKey(
        tx,
        {
          id: 'pky',
          platform_service_account_id: 'psa',
          display_name: 'd',
          scopes: ['a-b'],
          create_time: now,
          expire_time: now,
          revoke_time: null,
        },
        key.secretHash,
      ),
    revokeKey: (tx) => apiKeys.revokeKey(tx, 'pky', now),
    revokeKeysOf: (tx) => apiKeys.revokeKeysOf(tx, 'psa', now),
    listKeys: async (tx) => {
      await apiKeys.listKeys(tx, { accountId: '', state: undefined, showDeleted: true, now }, undefined, 50)
      for (const state of ['ACTIVE', 'EXPIRED', 'REVOKED'] as const)
        await apiKeys.listKeys(tx, { accountId: 'psa', state, showDeleted: false, now }, at, 50)
    },
    keepManager: (tx) => apiKeys.keepManager(tx, now),
  }
  const place = { tenant_id: tenant.id, stream: 'domain', sequence: '7' } as const
  const eventSamples: Samples<typeof events & typeof deadLetters & typeof delivery & typeof replays> = {
    readArchive: (tx) => replays.readArchive(tx),
    insertReplay: (tx) =>
      replays.insertReplay(tx, newReplay('rpl', tenant.id, allEvents, { oldest_sequence: '1', last_sequence: '9' }, now)),
    listReplays: (tx) => replays.listReplays(tx, 100),
    readDelivery: (tx) => delivery.readDelivery(tx),
    readRelayHolder: (tx) => delivery.readRelayHolder(tx),
    listDeadLetters: async (tx) => {
      await deadLetters.listDeadLetters(tx, { tenantId: '', state: undefined }, undefined, 50)
      await deadLetters.listDeadLetters(tx, { tenantId: tenant.id, state: 'PARKED' }, place, 50)
    },
    findDeadLetters: (tx) => deadLetters.findDeadLetters(tx, [place]),
    findParked: (tx) => deadLetters.findParked(tx, tenant.id, 50),
    insertRedrives: (tx) => deadLetters.insertRedrives(tx, [place], 'rpl'),
    readEvents: async (tx) => {
      await events.readEvents(tx, { after: null, type: '', limit: 50 })
      await events.readEvents(tx, { after: '7', type: 't', limit: 50 })
    },
  }
  const lease = { name: 'relay', holder: 'h', epoch: '1', msLeft: () => 1000 }
  const jobSamples: Samples<typeof leases & typeof partitions & typeof poll & typeof relay & typeof replay> = {
    takeLeases: () => leases.takeLeases(['relay'], 'h', 3000),
    releaseLeases: () => leases.releaseLeases(['relay'], 'h'),
    makeWeeks: () => partitions.makeWeeks(4),
    dropWeeks: () => partitions.dropWeeks(30),
    countWeeksAhead: () => partitions.countWeeksAhead(),
    readCounters: () => poll.readCounters([tenant.id]),
    findPending: () => relay.findPending(['domain']),
    readPending: () => relay.readPending(['domain'], [tenant.id], 10, 1000, [{ tenantId: tenant.id, stream: 'domain', sequence: 1n }]),
    advance: () => relay.advance(lease, [{ tenantId: tenant.id, stream: 'domain', sequence: 1n }]),
    park: () => relay.park(lease, []),
    readReplay: () => replay.readReplay(200, 1000),
    advanceReplay: () => replay.advanceReplay(lease, { id: 'rpl', position: 1n, state: 'RUNNING' }),
    readRedrives: () => replay.readRedrives(200, 1000),
    settleRedrives: () => replay.settleRedrives(lease, []),
  }
  const rooms = {
    jobs: jobSamples,
    tenants: tenantSamples,
    'tenants, purges': purgeSamples,
    'tenants, settings': settingsSamples,
    roles: roleSamples,
    invitations: invitationSamples,
    'platform-accounts': accountSamples,
    events: eventSamples,
  }
  const pages: string[] = []
  const all: Statement[] = []
  const add = (title: string, sent: readonly Statement[]) => {
    all.push(...sent)
    pages.push(
      [`-- ${title}`, ...sent.map(({ role, text }) => `${role ? `/* as ${role} */ ` : ''}${text.replaceAll(/\s+/g, ' ')};`)].join('\n'),
    )
  }
  for (const [room, samples] of Object.entries(rooms)) {
    for (const [name, sample] of Object.entries(samples).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const sent: Statement[] = []
      const { tx, pool } = recordingTx(tenant.id, sent, now)
      const made = await Promise.resolve(sample(tx, pool)).catch(() => {}) // no row: NOT_FOUND
      if (isStatement(made)) sent.push(made)
      expect(sent.length, name).toBeGreaterThan(0)
      add(`${room}: ${name}`, sent)
    }
  }
  const access = { access_revision: '0', session_epoch: '0', platform_revision: '0' } as AccessRow
  const principal = { id: 'psa', type: 'platform-service-account', keyId: 'pky' }
  const call = { principal, method: 'm', traceparent: '', requestId: randomUUID(), claim: undefined } as unknown as DbCall
  const work = {
    call,
    access,
    answer: undefined,
    clockShift: '0 milliseconds',
    writes: [],
    guards: [],
    events: [],
    audits: ['{}'],
    moved: [1, 0] as const,
  }
  add(
    'the closing flight of a tenant',
    closingStatements({ ...work, binding: { tenantId: tenant.id, schema: schemaOf(tenant.id), making: [] } }),
  )
  add(
    'the closing flight of the platform',
    closingStatements({ ...work, binding: { tenantId: 'platform', schema: undefined, making: [] } }),
  )

  const client = await connectOnce(theServer().superuserUrl)
  try {
    await client.query('set search_path = pg_catalog, pg_temp')
    for (const [i, { text }] of all.entries()) await client.query(`prepare q${i} as ${text}`)
  } finally {
    await client.end()
  }
  const page = pages.join('\n\n').replaceAll(schemaOf(tenant.id), '{s}')
  await expect(`-- Every query of the repos, made by a test (npm test -- -u); {s} is a tenant's schema.\n\n${page}\n`).toMatchFileSnapshot(
    '../../server/db/queries.sql',
  )
})
