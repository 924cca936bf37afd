import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type DescMethod, fromBinary, fromJson, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HttpPort, openHttp } from '../../server/edge/http.js'
import { createRest } from '../../server/edge/rest.js'
import { openUpstream, type Upstream as Wire } from '../../server/edge/upstream.js'
import { fixtureServices, type KongCase, kongCases, type Repeated, type Upstream } from '../support/edge-fixture.js'
import { type RawAnswer, rawHttp } from '../support/raw-http.js'
import { type Script, startScriptedUpstream } from '../support/scripted-upstream.js'
import { refusals, righter } from './kong/differences.js'

const services = fixtureServices()
const methods = new Map<string, DescMethod>(
  services.flatMap((service) => service.methods.map((it) => [`${service.typeName}/${it.name}`, it])),
)
const cases = kongCases()

let upstream: Awaited<ReturnType<typeof startScriptedUpstream>>
let port: HttpPort
let away: HttpPort
const wires: Wire[] = []
const ready = async () => ({ ok: true, checks: {} })
const open = (origin: string) => {
  const wire = openUpstream({ origin, readTimeoutMs: 500 })
  wires.push(wire)
  return openHttp({ hosts: ['127.0.0.1'], port: 0, ready, rest: createRest({ services, upstream: wire, gatewaySecret: 'of the edge' }) })
}
beforeAll(async () => {
  upstream = await startScriptedUpstream()
  port = await open(upstream.origin)
  away = await open('http://127.0.0.1:1')
})
afterAll(async () => {
  await Promise.all([port.stop(), away.stop()])
  for (const it of wires) it.stop()
  await upstream.stop()
})

const isRepeated = (it: unknown): it is Repeated => typeof it === 'object' && it !== null && 'repeat' in it
const text = (it: string | Repeated) => (isRepeated(it) ? it.before + it.repeat.repeat(it.count) + it.after : it)

/** The long texts written out, wherever they stand. */
const written = (value: unknown): unknown => {
  if (isRepeated(value)) return text(value)
  if (Array.isArray(value)) return value.map(written)
  if (typeof value !== 'object' || value === null) return value
  const { $items: count, first, last } = value as { $items?: number; first?: { id: string }; last?: unknown }
  if (count !== undefined)
    return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : { ...first, id: first!.id.replace('0', String(i)) }))
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, written(it)]))
}

/** The same value with its long parts as the table has them. */
function shortened(value: unknown, like: unknown): unknown {
  if (typeof like !== 'object' || like === null) return value
  if ('$sha256' in like && typeof value === 'string') {
    return { $length: Buffer.byteLength(value), $sha256: createHash('sha256').update(value).digest('hex') }
  }
  if ('$items' in like && Array.isArray(value)) {
    const { first, last } = like as { first?: unknown; last?: unknown }
    return { $items: value.length, first: shortened(value[0], first), last: shortened(value.at(-1), last) }
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((it, i) => shortened(it, (like as unknown[])[i]))
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, shortened(it, (like as Record<string, unknown>)[key])]))
}

function scriptOf(method: string, told: Upstream): Script {
  const { output } = methods.get(method)!
  const bytes = told.wire_base64
    ? Buffer.from(told.wire_base64, 'base64')
    : toBinary(output, fromJson(output, (written(told.message ?? {}) as JsonValue) ?? {}, { ignoreUnknownFields: false }))
  const metadata = (it: Readonly<Record<string, unknown>> = {}) =>
    Object.fromEntries(
      Object.entries(it).map(([name, value]) => {
        const whole = text(value as string | Repeated)
        return [name, name.endsWith('-bin') ? Buffer.from(whole).toString('base64') : whole]
      }),
    )
  const message = told.status ? undefined : bytes
  const status = { 'grpc-status': String(told.status?.code ?? 0), 'grpc-message': encodeURIComponent(text(told.status?.message ?? 'OK')) }
  return {
    initial: told.initial_metadata && metadata(told.initial_metadata),
    message,
    trailers: { ...status, ...metadata(told.trailing_metadata) },
    delayMs: (told.delay_ms ?? 0) / 4,
  }
}

async function replay({ request, upstream: told, arrived }: KongCase): Promise<RawAnswer> {
  upstream.answers({ trailers: {} })
  if (told !== 'down') {
    const method = arrived?.method ?? 'edge.fixture.v1.TenantService/GetTenant'
    upstream.answers(scriptOf(method, told ?? {}))
  }
  const headers = Object.fromEntries(
    Object.entries(request.headers ?? {}).map(([name, value]) => [name, isRepeated(value) ? text(value) : (value as string | string[])]),
  )
  const body = request.body_base64
    ? Buffer.from(request.body_base64, 'base64')
    : (request.body ?? request.body_repeat) !== undefined
      ? Buffer.from(text((request.body ?? request.body_repeat)!))
      : undefined
  return rawHttp({
    port: told === 'down' ? away.port : port.port,
    method: request.method,
    path: Buffer.from(text(request.path)).toString(),
    headers,
    ...(body ? { body } : {}),
    chunked: request.chunked,
  })
}

const messageThatArrived = (method: string) => {
  const it = upstream.arrived()!
  const { input } = methods.get(method)!
  return { method: it.path.slice(1), message: toJson(input, fromBinary(input, it.bytes), { useProtoFieldName: true }) }
}

const ofOtherPlugins = (it: KongCase) => it.kong_plugin !== undefined
/** nginx's own buffer of 8 kB, and one no larger than the limit, lose bodies; the one of deploy/kong does not. */
const ofSmallBuffers = (it: KongCase) =>
  it.group === 'sizes' && it.arrived !== null && !JSON.stringify(it.arrived.message).includes('display_name')

const compared = cases.filter((it) => !ofOtherPlugins(it) && !ofSmallBuffers(it))
const refused = new Map(Object.entries(refusals).flatMap(([why, ids]) => ids.map((id) => [id, why] as const)))
const same = compared.filter((it) => !refused.has(it.id) && !(it.id in righter))

describe('what Kong with deploy/kong does', () => {
  it.each(same.map((it) => [it.id, it.about, it] as const))('%s: %s', async (_, _about, kong) => {
    const answer = await replay(kong)
    const { repaired, arrived } = kong
    if (arrived) expect(shortened(messageThatArrived(arrived.method), arrived)).toEqual(arrived)
    else expect(upstream.arrived()).toBeUndefined()
    expect(answer.status).toBe(repaired.status)
    const body = repaired.body_json ?? (repaired.body === '' || repaired.body === 'OK' ? '' : JSON.parse(repaired.body ?? '""'))
    const got = answer.body.length === 0 ? '' : (JSON.parse(answer.body.toString()) as unknown)
    if (answer.status >= 400 && got !== '') {
      const [ours, theirs] = [got as Record<string, unknown>, body as Record<string, unknown>]
      expect([ours['code'], ours['status']]).toEqual([theirs['code'], theirs['status']])
      const told = kong.upstream !== 'down' && kong.upstream?.status
      if (told && told.code === theirs['code'])
        expect(shortened([ours['message'], ours['details']], [theirs['message'], theirs['details']])).toEqual([
          theirs['message'],
          theirs['details'],
        ])
    } else expect(shortened(got, body)).toEqual(body)
  })
})

describe('stricter than Kong', () => {
  it('what is named is in the table', () => {
    const named = [...refused.keys(), ...Object.keys(righter)]
    expect(named.filter((id) => !compared.some((it) => it.id === id))).toEqual([])
    expect(named.length).toBe(new Set(named).size)
  })

  it.each(compared.filter((it) => refused.has(it.id)).map((it) => [it.id, refused.get(it.id)!, it] as const))(
    '%s is refused: %s',
    async (id, _, kong) => {
      const answer = await replay(kong)
      if (!id.startsWith('answers.')) expect(upstream.arrived()).toBeUndefined()
      expect([400, 502]).toContain(answer.status)
      const body = JSON.parse(answer.body.toString()) as { code: number; details: { reason?: string }[] }
      expect(body.code).toBeGreaterThan(0)
      expect(body.details[0]?.reason).toMatch(/^[A-Z_]+$/)
    },
  )

  it.each(compared.filter((it) => it.id in righter).map((it) => [it.id, righter[it.id]!, it] as const))(
    '%s: $1.why',
    async (_, meant, kong) => {
      const answer = await replay(kong)
      if (meant.arrived) expect(messageThatArrived(kong.arrived!.method).message).toEqual(meant.arrived)
      expect(answer.status).toBe(meant.status)
      expect(JSON.parse(answer.body.toString())).toMatchObject(meant.body)
    },
  )

  it.each(cases.filter(ofSmallBuffers).map((it) => [it.id, it.about, it] as const))(
    '%s arrives whole, or is refused: %s',
    async (_, _about, kong) => {
      const { status } = await replay(kong)
      const sent = text((kong.request.body ?? kong.request.body_repeat)!)
      if (sent.length > 1_048_576) return expect([status, upstream.arrived()]).toEqual([413, undefined])
      const whole = { ...(kong.arrived!.message as object), ...(JSON.parse(sent) as object) }
      expect([status, messageThatArrived(kong.arrived!.method).message]).toEqual([200, whole])
    },
  )
})

it('docs/rest.md says each difference', () => {
  const page = readFileSync('docs/rest.md', 'utf8')
  const said = [...Object.keys(refusals), ...Object.values(righter).map((it) => it.why)]
  expect(said.filter((it) => !page.includes(`- ${it}`))).toEqual([])
})
