import { randomUUID } from 'node:crypto'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { registry, services } from '../../server/contract/descriptors.js'
import { eventTypes } from '../../server/contract/event-catalogue.js'
import { routesOf } from '../../server/contract/routes.js'
import { asyncApi } from '../../server/edge/asyncapi.js'
import { openApi } from '../../server/edge/openapi.js'
import { theServer } from '../support/rpc.js'

// biome-ignore lint/suspicious/noExplicitAny: documents are JSON
type Doc = any
const info = { version: '1.2.3', serverUrl: 'http://127.0.0.1:8080' }
const document: Doc = openApi(services(), info)
const events: Doc = asyncApi({ domain: 'd', security: 's', platform: 'p', replay: 'r' }, '1.2.3')
const routes = routesOf(services())

const checker = () =>
  new Ajv2020({
    strict: false,
    formats: { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ },
  })

/** Every `$ref` of a document, wherever it stands. */
function refsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, it]) => (key === '$ref' && typeof it === 'string' ? [it] : refsOf(it)))
}
const at = (root: Doc, ref: string) =>
  ref
    .slice(2)
    .split('/')
    .reduce((it: Doc, step) => it?.[step], root)

describe('openapi.json', () => {
  const operations: [string, Doc][] = Object.entries<Doc>(document.paths).flatMap(([path, item]) =>
    Object.entries<Doc>(item).map(([verb, it]): [string, Doc] => [`${verb} ${path}`, it]),
  )

  it('has every binding of the contract and no other, each operation under a name of its own', () => {
    expect(operations.map(([name]) => name).sort()).toEqual(routes.map((it) => `${it.verb} ${it.path}`).sort())
    expect(new Set(operations.map(([, it]) => it.operationId)).size).toBe(operations.length)
    expect(new Set(document.tags.map((it: Doc) => it.name)).size).toBe(document.tags.length)
  })

  it('all that it refers to is in it, and no two messages share a name', () => {
    expect(refsOf(document).filter((it) => at(document, it) === undefined)).toEqual([])
    const names = [...registry]
      .filter((it) => it.kind === 'message' || it.kind === 'enum')
      .filter((it) => it.typeName.startsWith('customer.'))
    const shown = names.filter((it) => it.name in document.components.schemas).map((it) => it.name)
    expect(shown.length).toBe(new Set(shown).size)
  })

  it.each(operations)('%s says what it does, who may, why it fails, and each field', (_, operation) => {
    expect(operation.summary).toMatch(/^[A-Z].*\.$/)
    expect(operation.description).toContain('**Permission:**')
    for (const reason of operation['x-reasons']) expect(operation.description).toMatch(new RegExp(`- \`${reason}\`: [A-Z_]+`))
    const fields = [
      ...operation.parameters,
      ...Object.values<Doc>(operation.requestBody?.content['application/json'].schema.properties ?? {}),
    ]
    for (const it of fields) expect(it.description, JSON.stringify(it)).toMatch(/\S/)
    expect(operation['x-codeSamples'].map((it: Doc) => it.lang)).toEqual(['curl', 'TypeScript'])
  })

  it.each(operations)('%s: its examples fit its schemas', (_, operation) => {
    const ajv = checker()
    const whole = (schema: object) => ajv.compile({ ...schema, components: document.components })
    const answer = operation.responses[200].content['application/json']
    const check = whole(answer.schema)
    expect(check(answer.example), JSON.stringify(check.errors)).toBe(true)
    const body = operation.requestBody?.content['application/json']
    if (body) {
      const checkBody = whole(body.schema)
      expect(checkBody(body.example), JSON.stringify(checkBody.errors)).toBe(true)
    }
    for (const it of operation.parameters.filter((each: Doc) => each.example !== undefined)) {
      const number = ['integer'].includes(it.schema.type)
      expect(whole(it.schema)(number ? Number(it.example) : it.example), it.name).toBe(true)
    }
  })
})

describe('asyncapi.json', () => {
  it('has every event type, on the channel of its stream, and all that it refers to', () => {
    expect(refsOf(events).filter((it) => it.startsWith('#/c') && at(events, it) === undefined)).toEqual([])
    for (const { type, ceType, stream } of eventTypes) {
      expect(events.channels[stream].messages[type].$ref).toBe(`#/components/messages/${type}`)
      expect(events.components.messages[type].name).toBe(ceType)
    }
    expect(events.channels.domain.address).toBe('d')
  })

  it.each(eventTypes.map((it) => [it.type]))('%s: its example fits its schema', (type) => {
    const ajv = checker()
    const { payload, examples } = events.components.messages[type]
    const check = ajv.compile(payload.schema)
    expect(check(examples[0].payload), JSON.stringify(check.errors)).toBe(true)
  })
})

it('both are served beside REST', async () => {
  const { httpUrl } = theServer()
  const served = (await (await fetch(`${httpUrl}/openapi.json`)).json()) as Doc
  expect(Object.keys(served.paths)).toEqual(Object.keys(document.paths))
  expect(served.info.version).toMatch(/^\d+\.\d+\.\d+$/)
  const answer = await fetch(`${httpUrl}/asyncapi.json?x=${randomUUID()}`)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
  expect(((await answer.json()) as Doc).channels.domain.address).toMatch(/customer-management\.domain\.v1$/)
  expect((await fetch(`${httpUrl}/openapi.json`, { method: 'POST' })).status).toBe(405)
})
