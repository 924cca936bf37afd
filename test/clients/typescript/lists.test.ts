import { describe, expect, it } from 'vitest'
import { Event, EventType } from '../../../gen/customer/event/v1/event.js'
import { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import { failure, sequence } from './scripted-server.js'
import { failed, setUp, tenantId } from './set-up.js'

describe('lists', () => {
  const page = (n: number, nextPageToken: string) => ({
    tenants: [n, n + 1].map((id) => Tenant.fromPartial({ id: String(id) })),
    nextPageToken,
  })
  const pages: Record<string, unknown> = { '': page(1, 'a'), a: page(3, 'b'), b: page(5, '') }
  const listTenants = ({ request }: { request: Record<string, unknown> }) => pages[String(request['pageToken'])]

  it('go over all pages, with the same filter', async () => {
    const { client, seen } = await setUp({ listTenants })
    const ids: string[] = []
    for await (const { id } of client.tenants.listTenants({ labelKey: 'tier', pageSize: 2 })) ids.push(id)
    expect(ids).toEqual(['1', '2', '3', '4', '5', '6'])
    expect(seen.map(({ request }) => [request['pageToken'], request['labelKey'], request['pageSize']])).toEqual([
      ['', 'tier', 2],
      ['a', 'tier', 2],
      ['b', 'tier', 2],
    ])
  })

  it('fetch no page before it is read; each loop begins anew; pages() gives the answers', async () => {
    const { client, seen } = await setUp({ listTenants })
    const tenants = client.tenants.listTenants({})
    expect(seen).toHaveLength(0)
    for await (const { id } of tenants) if (id === '2') break
    expect(seen).toHaveLength(1)
    const tokens: string[] = []
    for await (const { nextPageToken } of tenants.pages()) tokens.push(nextPageToken)
    expect(tokens).toEqual(['a', 'b', ''])
    expect(seen).toHaveLength(4)
  })

  it('retry a page, and throw in the middle of the loop', async () => {
    const errors = [undefined, failure('UNAVAILABLE'), undefined, failure('INVALID_ARGUMENT', 'PAGE_TOKEN_INVALID')]
    const { client } = await setUp({
      listTenants: (seen, nth) => {
        const error = errors[nth - 1]
        if (error) throw error
        return listTenants(seen)
      },
    })
    const ids: string[] = []
    const loop = async () => {
      for await (const { id } of client.tenants.listTenants({})) ids.push(id)
    }
    expect((await failed(loop())).reason).toBe('PAGE_TOKEN_INVALID')
    expect(ids).toEqual(['1', '2', '3', '4'])
  })

  it('CANCELLED: a list does not look complete when it was aborted', async () => {
    const { client } = await setUp({ listTenants })
    const controller = new AbortController()
    const loop = async () => {
      for await (const { id } of client.tenants.listTenants({}, { signal: controller.signal })) if (id === '2') controller.abort()
    }
    expect((await failed(loop())).code).toBe('CANCELLED')
  })

  it('of events end where the cursor stands still, not at a short or empty answer', async () => {
    const answers: Record<string, number[]> = { '7': [8, 9, 20], [sequence(20)]: [30], [sequence(30)]: [31, 31], [sequence(31)]: [31] }
    const { client, seen } = await setUp({
      listEvents: ({ request }) => {
        const numbers = answers[String(request['afterSequence'])]!
        return {
          events: numbers.slice(0, -1).map((n) => Event.fromPartial({ sequence: sequence(n) })),
          lastSequence: sequence(numbers.at(-1)!),
        }
      },
    })
    const found: number[] = []
    for await (const event of client.events.listEvents({ tenantId, afterSequence: '7' })) found.push(Number(event.sequence))
    expect(found).toEqual([8, 9, 31])
    expect(seen).toHaveLength(4)
  })

  it('of event types come in one answer', async () => {
    const { client, seen } = await setUp({
      listEventTypes: () => ({ eventTypes: ['a', 'b'].map((type) => EventType.fromPartial({ type })) }),
    })
    const types: string[] = []
    for await (const { type } of client.events.listEventTypes()) types.push(type)
    expect(types).toEqual(['a', 'b'])
    expect(seen).toHaveLength(1)
  })
})
