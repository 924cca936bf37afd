import { afterAll, expect, it } from 'vitest'
import { listSchema } from '../../server/db/catalogue.js'
import { onboard, theClients, theSuperuser } from '../support/rpc.js'

const clients = theClients()
afterAll(() => clients.close())

it('schema.sql is what all migrations make: platform, lib and one tenant', async () => {
  const { id } = await onboard(clients)
  const parts = { platform: 'platform', lib: 'lib', 'a tenant': `t_${id.slice(4)}` }
  const pages: string[] = []
  for (const [title, schema] of Object.entries(parts)) {
    const lines = (await listSchema(theSuperuser(), schema)).filter((line) => !/kysely_migration/.test(line))
    pages.push(`-- ${title}\n${lines.join('\n')}\n`)
  }
  const text = `-- A listing for readers, made by a test (npm test -- -u); nobody runs it. {s} is the schema's own name.\n\n${pages.join('\n')}`
  await expect(text).toMatchFileSnapshot('../../server/db/schema.sql')
})
