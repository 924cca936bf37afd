import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { createClient } from '../../clients/typescript/src/index.js'
import { services } from '../../server/contract/descriptors.js'
import { type Route, routesOf } from '../../server/contract/routes.js'
import { type CallExample, exampleOf, sdkOf, targetOf } from '../../server/edge/openapi.js'
import { ask, right } from '../support/rest-calls.js'
import { newSlug, onboard, theClients, theServer } from '../support/rpc.js'

const { key } = theServer()
const clients = theClients()
afterAll(() => clients.close())

async function byCurl(route: Route, example: CallExample) {
  const { status, json } = await ask(route.verb.toUpperCase(), {
    path: targetOf(route, example),
    ...(route.hasBody ? { body: example.body } : {}),
  })
  expect([status, json.details ?? []]).toEqual([200, []])
}
/** As it stands in the reference. */
async function bySdk(route: Route, example: CallExample) {
  const source = sdkOf(route, example)
  const run = new Function('client', `return (async () => ${source})()`) as (client: unknown) => Promise<unknown>
  const client = createClient({ address: theServer().address, apiKey: key })
  try {
    expect(await run(client)).toBeTypeOf('object')
  } finally {
    client.close()
  }
}

describe.each(routesOf(services()).map((it) => [`${it.verb.toUpperCase()} ${it.path}`, it] as const))('%s', (_, route) => {
  it('200: the example of the reference, by REST and by the SDK, with ids that exist', async () => {
    const example = exampleOf(route)
    for (const send of [byCurl, bySdk]) {
      const tenant = await onboard(clients)
      const asked = await right[route.method.name]!(tenant)
      const ids = route.pattern.exec(asked.path.split('?')[0]!)!.slice(1)
      const inBody = (asked.body ?? {}) as Record<string, unknown>
      const real = new Map<string, unknown>([
        ...route.variables.map((name, i) => [name, ids[i]] as const),
        ['slug', route.verb === 'post' ? newSlug() : tenant.slug],
        ['request_id', randomUUID()],
        ...Object.entries(inBody).filter(([name]) =>
          ['platform_service_account_id', 'tenant_ids', 'confirm_slug', 'scopes', 'tenant_id', 'after_sequence'].includes(name),
        ),
      ])
      real.set('until_sequence', '')
      const replaced = <T>(said: Readonly<Record<string, T>>) =>
        Object.fromEntries(Object.entries(said).map(([name, value]) => [name, (real.get(name) as T | undefined) ?? value]))
      await send(route, { path: replaced(example.path), query: replaced(example.query), body: replaced(example.body) })
    }
  })
})
