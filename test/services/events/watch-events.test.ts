import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { onboard, theClients, thePool, theServer } from '../../support/rpc.js'
import { type Watching, watch } from '../../support/stream.js'
import { until } from '../../support/until.js'

const clients = theClients()
const { tenants, events } = clients
const generous = { timeoutMs: 10_000 }
const type = (name: string) => `com.enterprise.customer.${name}.v1`
const text = (sequence: number) => String(sequence).padStart(20, '0')
let tenantId: string
let names = 0
const change = () => tenants.updateTenant({ tenantId, displayName: `Name ${++names}` })
const lastSequence = async () => Number((await events.listEvents({ tenantId })).lastSequence)

/** What a test opened, closed again with it. */
async function watching<A>(streams: Watching[], work: () => Promise<A>): Promise<A> {
  try {
    return await work()
  } finally {
    for (const it of streams) it.cancel()
    await Promise.all(streams.map((it) => it.ended))
  }
}
const withKey = async (scopes: string[]) => {
  const made = await makeKey(thePool(), scopes)
  const its = connect(theServer().address, made.key)
  return { ...made, its }
}

beforeAll(async () => {
  tenantId = (await onboard(clients)).id
})
afterAll(() => clients.close())

it('OK: what is kept, then what comes, each once and in order, as ListEvents shows it', async () => {
  const stream = watch(clients, { tenantId })
  await watching([stream], async () => {
    await until(() => stream.sequences().length >= 2, generous)
    await change()
    const last = await lastSequence()
    await until(() => stream.sequences().at(-1) === last, generous)
    await Promise.all([change(), change(), change()])
    await until(() => stream.sequences().at(-1) === last + 3, generous)
    expect(stream.answers.flatMap((it) => it.events)).toEqual((await events.listEvents({ tenantId })).events)
    for (const { events: batch, lastSequence: reached } of stream.answers) expect(batch.at(-1)?.sequence).toBe(reached)
  })
})

it('OK: resumes after a sequence: what was missed, and nothing twice', async () => {
  const first = watch(clients, { tenantId })
  const cursor = await watching([first], async () => {
    await until(() => first.answers.length > 0, generous)
    return first.answers.at(-1)!.lastSequence
  })
  await change()
  await change()
  const again = watch(clients, { tenantId, afterSequence: cursor })
  await watching([again], async () => {
    await until(() => again.sequences().length >= 2, generous)
    await change()
    await until(() => again.sequences().length >= 3, generous)
    expect(again.sequences()).toEqual([1, 2, 3].map((n) => Number(cursor) + n))
  })
})

it('OK: only events of one type', async () => {
  const stream = watch(clients, { tenantId, eventType: type('tenant.suspended') })
  await watching([stream], async () => {
    await change()
    await tenants.suspendTenant({ tenantId, reason: 'x' })
    await tenants.resumeTenant({ tenantId })
    await until(() => stream.sequences().length > 0, generous)
    expect(stream.answers.flatMap((it) => it.events).map((it) => it.type)).toEqual([type('tenant.suspended')])
  })
})

it('OK: of one tenant alone', async () => {
  const other = await onboard(clients)
  const stream = watch(clients, { tenantId, afterSequence: String(await lastSequence()) })
  await watching([stream], async () => {
    await tenants.updateTenant({ tenantId: other.id, displayName: 'x' })
    await change()
    await until(() => stream.sequences().length > 0, generous)
    expect(stream.answers.flatMap((it) => it.events).map((it) => it.partitionkey)).toEqual([tenantId])
  })
})

it('OK: of a suspended and of a deleted tenant; the stream lives on when it is deleted', async () => {
  const { id } = await onboard(clients)
  const stream = watch(clients, { tenantId: id })
  await watching([stream], async () => {
    await tenants.suspendTenant({ tenantId: id, reason: 'x' })
    await tenants.deleteTenant({ tenantId: id })
    await until(() => stream.sequences().length >= 4, generous)
    await tenants.undeleteTenant({ tenantId: id })
    await until(() => stream.sequences().length >= 5, generous)
    expect(stream.end()).toBe('open')
  })
})

it('C-007 UNAUTHENTICATED: ends when its key is revoked; what comes later is not seen', async () => {
  const { its, revoke } = await withKey(['platform-view-events'])
  const stream = watch(its, { tenantId })
  await watching([stream], async () => {
    await until(() => stream.answers.length > 0, generous)
    const seen = stream.sequences().length
    await revoke()
    await change()
    await until(() => stream.end() !== 'open', generous)
    expect(await stream.ended).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
    expect(stream.sequences()).toHaveLength(seen)
  })
  its.close()
})

it('OUT_OF_RANGE CURSOR_AHEAD: beyond the last event', async () => {
  const last = await lastSequence()
  expect(await watch(clients, { tenantId, afterSequence: String(last + 1) }).ended).toMatchObject({
    code: 'OUT_OF_RANGE',
    reason: 'CURSOR_AHEAD',
    metadata: { last_sequence: text(last) },
  })
})

it('RESOURCE_EXHAUSTED TOO_MANY_STREAMS: the sixth of one principal; one that is cancelled makes room', async () => {
  const { its } = await withKey(['view-audit'])
  const five = Array.from({ length: 5 }, () => watch(its, { tenantId }))
  await watching(five, async () => {
    await until(() => five.every((it) => it.answers.length > 0), generous)
    expect(await watch(its, { tenantId }).ended).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'TOO_MANY_STREAMS',
      metadata: { limit: '5' },
    })
    five[0]!.cancel()
    expect(await five[0]!.ended).toMatchObject({ code: 'CANCELLED' })
    const tries: Watching[] = []
    await watching(tries, () =>
      until(() => {
        const last = tries.at(-1)
        if (last === undefined || last.end() !== 'open') tries.push(watch(its, { tenantId }))
        return last !== undefined && last.answers.length > 0
      }, generous),
    )
    expect(five.slice(1).map((it) => it.end())).toEqual(Array(4).fill('open'))
  })
  its.close()
})

it('NOT_FOUND and PERMISSION_DENIED: a tenant that is none, a key that may not', async () => {
  const unknown = 'tnt_00000000000000000000000000'
  expect(await watch(clients, { tenantId: unknown }).ended).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
  const { its } = await withKey(['platform-manage-tenants'])
  expect(await watch(its, { tenantId }).ended).toMatchObject({
    code: 'PERMISSION_DENIED',
    reason: 'PERMISSION_MISSING',
    metadata: { permission: 'platform-view-events' },
  })
  its.close()
})
