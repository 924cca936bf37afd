import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Clients, connect, RpcError } from '../support/client.js'
import { makeKey } from '../support/keys.js'
import { newSlug, onboard } from '../support/rpc.js'
import { type Solo, startSolo } from '../support/solo.js'

const rounds = process.env['N'] === 'full' ? 20 : 2
const callers = 50
let one: Solo
let two: Solo

beforeAll(async () => {
  one = await startSolo()
  two = await startSolo({ beside: one })
})
afterAll(async () => {
  await two?.stop()
  await one?.stop()
})

const all = async (text: string, values: unknown[] = []) => (await one.superuser.query(text, values)).rows
/** What stands in this database, and the tenants' roles of the cluster. */
const standing = async () => {
  const [row] =
    await all(`select (select count(*)::int from platform.tenants) as tenants, (select count(*)::int from platform.tenant_counters) - 1 as counters,
    (select count(*)::int from pg_namespace where nspname ~ '^t_[0-9a-z]{26}$') as schemas, (select count(*)::int from platform.idempotency_keys) as records,
    (select count(*)::int from platform.events where type = 'com.enterprise.customer.tenant.created.v1') as events,
    (select count(*)::int from pg_roles where rolname ~ '^t_[0-9a-z]{26}$') as roles,
    (select count(*)::int from pg_namespace n where nspname ~ '^t_[0-9a-z]{26}$' and not exists (select from platform.tenants t where t.schema_name = n.nspname)) as orphans`)
  return row as Record<'tenants' | 'counters' | 'schemas' | 'records' | 'events' | 'roles' | 'orphans', number>
}
/** How much more stands after `work` than before it. */
async function growth(work: () => Promise<void>) {
  const before = await standing()
  await work()
  const after = await standing()
  return Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - before[name as keyof typeof before]]))
}
const tally = (list: readonly PromiseSettledResult<unknown>[]) => {
  const sums: Record<string, number> = {}
  for (const each of list) {
    const name =
      each.status === 'fulfilled'
        ? 'OK'
        : each.reason instanceof RpcError
          ? `${each.reason.code} ${each.reason.reason}`
          : String(each.reason)
    sums[name] = (sums[name] ?? 0) + 1
  }
  return sums
}
const race = (act: (clients: Clients) => Promise<unknown>) =>
  Promise.allSettled(Array.from({ length: callers }, (_, nth) => act((nth % 2 ? one : two).clients)))
const oneMade = { tenants: 1, counters: 1, schemas: 1, roles: 1, events: 1, orphans: 0 }

it(`F-02 C-015 ${callers} callers of two replicas want one slug: one has it, the rest are told so, and no schema or role is left of theirs`, async () => {
  for (let round = 0; round < rounds; round++) {
    const slug = newSlug()
    let results: PromiseSettledResult<unknown>[] = []
    const grown = await growth(async () => {
      results = await race((clients) => onboard(clients, { slug }))
    })
    expect(tally(results)).toEqual({ OK: 1, 'ALREADY_EXISTS SLUG_TAKEN': callers - 1 })
    expect(grown).toEqual({ ...oneMade, records: 1 })
  }
})

it(`F-02 C-076 F-35 ${callers} callers of two replicas with one request_id: one tenant, one event, and all hear the same`, async () => {
  for (let round = 0; round < rounds; round++) {
    const request = { slug: newSlug(), requestId: randomUUID(), labels: { a: '1', b: '2' } }
    let results: PromiseSettledResult<unknown>[] = []
    const grown = await growth(async () => {
      results = await race((clients) => onboard(clients, request))
    })
    expect(tally(results)).toEqual({ OK: callers })
    expect(new Set(results.map((each) => JSON.stringify((each as PromiseFulfilledResult<unknown>).value))).size).toBe(1)
    expect(grown).toEqual({ ...oneMade, records: 1 })
  }
})

it('C-076 an update, 50 ways: one event and one entry in the trail; the answer is the first one, though the tenant has changed since', async () => {
  const { id } = await onboard(one.clients)
  const update = { tenantId: id, displayName: 'Renamed', requestId: randomUUID() }
  const before = (await all('select * from platform.tenant_counters where tenant_id = $1', [id]))[0]
  const results = await race(({ tenants }) => tenants.updateTenant(update))
  expect(tally(results)).toEqual({ OK: callers })
  await one.clients.tenants.updateTenant({ tenantId: id, displayName: 'Again', requestId: randomUUID() })
  expect((await two.clients.tenants.updateTenant(update)).displayName).toBe('Renamed')
  const after = (await all('select * from platform.tenant_counters where tenant_id = $1', [id]))[0]
  expect(Number(after.domain_sequence) - Number(before.domain_sequence)).toBe(2)
  expect(Number(after.audit_seq) - Number(before.audit_seq)).toBe(2)
})

it('C-076 the id is the call with its body: maps in another order are the same, upper case too, anything else is refused, on either replica', async () => {
  const request = { slug: newSlug(), requestId: randomUUID(), labels: { a: '1', b: '2' } }
  const first = await onboard(one.clients, request)
  const grown = await growth(async () => {
    expect(await onboard(two.clients, { ...request, requestId: request.requestId.toUpperCase(), labels: { b: '2', a: '1' } })).toEqual(
      first,
    )
    for (const other of [{ displayName: 'B' }, { labels: { a: '2', b: '1' } }, { slug: newSlug() }, { ownerEmail: 'b@acme.example' }]) {
      const refused = onboard(two.clients, { ...request, ...other })
      await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
    }
  })
  expect(new Set(Object.values(grown))).toEqual(new Set([0]))
  // the key is caller, method and id: the same id with another method is another call
  const { tenants } = one.clients
  expect((await tenants.updateTenant({ tenantId: first.id, displayName: 'C', requestId: request.requestId })).displayName).toBe('C')
  const other = await makeKey(one.pool, ['platform-manage-tenants', 'platform-view-tenants'])
  const stranger = connect(one.address, other.key)
  await expect(onboard(stranger, request)).rejects.toMatchObject({ reason: 'SLUG_TAKEN' })
  stranger.close()
})

it('C-076 a fault is not kept: the same call again runs anew, and a check alone keeps nothing', async () => {
  const [slug, requestId] = [newSlug(), randomUUID()]
  const holder = await onboard(one.clients, { slug })
  await expect(onboard(one.clients, { slug, requestId })).rejects.toMatchObject({ reason: 'SLUG_TAKEN' })
  // only support may do so: it makes the slug free again
  await one.superuser.query(`update platform.tenants set slug = $2 where id = $1`, [holder.id, newSlug()])
  const grown = await growth(async () => {
    const checked = await onboard(two.clients, { slug, requestId, validateOnly: true })
    expect([checked.id, checked.slug]).toEqual(['', slug])
  })
  expect(new Set(Object.values(grown))).toEqual(new Set([0]))
  const made = await onboard(two.clients, { slug, requestId })
  expect(await onboard(one.clients, { slug, requestId })).toEqual(made)
})

it('C-076 the kept answer is for whoever may call now: not once the key is revoked, nor once it lost the permission', async () => {
  const key = await makeKey(one.pool, ['platform-manage-tenants'])
  const caller = connect(one.address, key.key)
  const request = { slug: newSlug(), requestId: randomUUID() }
  const first = await onboard(caller, request)
  expect(await onboard(caller, request)).toEqual(first)
  await one.superuser.query(`update platform.platform_service_accounts set permissions = '{platform-view-tenants}' where id = $1`, [
    key.accountId,
  ])
  await expect(onboard(caller, request)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  await key.revoke()
  await expect(onboard(caller, request)).rejects.toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
  caller.close()
})

it('F-35 the caller is gone while its call runs, at any time: repeated on the other replica, one effect and one answer', async () => {
  const tries = process.env['N'] === 'full' ? 1_000 : 10
  for (let nth = 0; nth < tries; nth++) {
    const request = { slug: newSlug(), requestId: randomUUID() }
    const grown = await growth(async () => {
      const impatient = connect(one.address, one.key)
      const lost = onboard(impatient, request).catch((err: RpcError) => err)
      setTimeout(() => impatient.close(), (nth % 10) * 8)
      const [, again] = await Promise.all([lost, onboard(two.clients, request)])
      expect(await onboard(one.clients, request)).toEqual(again)
    })
    expect(grown).toEqual({ ...oneMade, records: 1 })
  }
})
