import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { registry } from '../../server/contract/descriptors.js'
import { type KongCase, kongCases, type Repeated } from '../support/edge-fixture.js'
import { luaOf, openLua } from '../support/lua.js'

const [header, body] = ['header-filter', 'body-filter'].map((name) => readFileSync(`deploy/kong/${name}.lua`, 'latin1')) as [string, string]
const lua = openLua(inject('redisUrl'))
afterAll(() => lua?.close())

interface Response {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * The two texts in an environment that has what Kong's sandbox gives them and nothing else: the answer goes through header_filter, then its body
 * in chunks through body_filter.
 */
function chunkOf({ status, headers, body: text }: Response, source: string, upstreamStatus: string, chunks: number): string {
  const size = Math.max(1, Math.ceil(text.length / chunks))
  const parts = Array.from({ length: Math.max(1, Math.ceil(text.length / size)) }, (_, i) => text.slice(i * size, (i + 1) * size))
  return `
    local answer = { status = ${status}, headers = ${luaOf(headers)} }
    local plugin, out = {}, {}
    local kong = { ctx = { plugin = plugin }, response = {
      get_status = function() return answer.status end,
      get_source = function() return ${luaOf(source)} end,
      get_header = function(name) return answer.headers[name] end,
      set_status = function(it) answer.status = it end,
      set_header = function(name, it) answer.headers[name] = it end,
      clear_header = function(name) answer.headers[name] = nil end,
    } }
    local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local function decode_base64(text)
      local bits, bytes, n = 0, {}, 0
      for sign in text:gsub("=", ""):gmatch(".") do
        local at = digits:find(sign, 1, true)
        if not at then return nil end
        bits, n = bits * 64 + at - 1, n + 6
        if n >= 8 then
          n = n - 8
          bytes[#bytes + 1] = string.char(math.floor(bits / 2 ^ n))
          bits = bits % 2 ^ n
        end
      end
      return table.concat(bytes)
    end
    local ngx = { arg = {}, var = { upstream_status = ${luaOf(upstreamStatus)} }, decode_base64 = decode_base64 }
    local sandbox = { kong = kong, ngx = ngx, string = string, table = table, math = math, type = type, tonumber = tonumber,
      tostring = tostring, ipairs = ipairs, pairs = pairs, pcall = pcall, select = select, unpack = unpack }
    local function load(text, name)
      local run, err = loadstring(text, name)
      if not run then error(err) end
      return setfenv(run, sandbox)
    end
    load(${luaOf(header)}, "header-filter")()
    local run = load(${luaOf(body)}, "body-filter")
    local parts = ${luaOf(parts)}
    for i, part in ipairs(parts) do
      ngx.arg[1], ngx.arg[2] = part, i == #parts
      run()
      out[#out + 1] = ngx.arg[1] or ""
    end
    local head = { answer.status }
    for name, value in pairs(answer.headers) do head[#head + 1] = name .. ": " .. tostring(value) end
    return table.concat(head, "\\n") .. "\\n\\n" .. table.concat(out)`
}

async function repair(response: Response, source: string, upstreamStatus: string, chunks = 1): Promise<Response> {
  const told = await lua!.run(chunkOf(response, source, upstreamStatus, chunks))
  const end = told.indexOf('\n\n')
  const [status, ...lines] = told.slice(0, end).split('\n')
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]))
  return { status: Number(status), headers, body: told.slice(end + 2) }
}

/** Where Kong says that an answer is from: a plugin (the gateway among them), Kong or nginx itself, the service. */
function sourceOf({ response: { status, headers = {}, body: text = '' }, repaired, upstream, kong_plugin, arrived }: Case): string {
  if (kong_plugin !== undefined) return 'exit'
  if (status < 400) return 'service'
  if (repaired.status === 502 || status === 413 || status === 414 || upstream === 'down') return 'error'
  if (arrived !== null && headers['grpc-status'] !== undefined) return 'service'
  const byGateway = /transcode|decode json|encode payload|body must/.test(`${headers['grpc-message'] ?? ''}${text}`)
  return byGateway || (text === '' && headers['content-type'] === undefined) ? 'exit' : 'error'
}

interface Case extends KongCase {
  readonly response: { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
}
const latin1 = (text: string) => Buffer.from(text.replaceAll('<request_id>', '0123456789abcdef0123456789abcdef')).toString('latin1')
const whole = (value: unknown) => {
  const {
    before = '',
    repeat = '',
    count = 0,
    after = '',
  } = (typeof value === 'object' ? value : { before: String(value) }) as Partial<Repeated>
  return before + repeat.repeat(count) + after
}
const utf8 = (text: string) => Buffer.from(text, 'latin1').toString()
/** Bodies that the table only tells the length of cannot be put in. */
const cases = (kongCases() as Case[]).filter((it) => it.response.body !== undefined && it.repaired.body !== undefined)
const grpcs = ['grpc-status', 'grpc-message', 'grpc-status-details-bin', 'grpc-encoding', 'grpc-accept-encoding', 'x-error-details-bin']

describe.runIf(lua)(`the post-function, by ${lua?.how}`, () => {
  it('has a case of every group', () => expect(cases.length).toBeGreaterThan(500))

  it.each(cases.map((it) => [it.id, it.about, it] as const))('%s: %s', async (_, _about, kong) => {
    const { response, repaired } = kong
    const told = kong.upstream === 'down' ? undefined : kong.upstream
    const headerOf = (name: string, value: unknown) => {
      if (typeof value !== 'object' || !('$length' in value!)) return latin1(whole(value))
      return name === 'grpc-message' ? whole(told!.status!.message) : Buffer.from(whole(told!.trailing_metadata![name])).toString('base64')
    }
    const headers = Object.fromEntries(Object.entries(response.headers ?? {}).map(([name, value]) => [name, headerOf(name, value)]))
    const answer = await repair(
      { status: response.status, headers, body: latin1(response.body!) },
      sourceOf(kong),
      repaired.status === 502 ? '502' : '200',
    )
    expect(answer.status).toBe(repaired.status)
    const read = (text: string) => (text === '' || text === 'OK' ? text : (JSON.parse(text) as Record<string, unknown>))
    const [got, wanted] = [read(utf8(answer.body)), read(repaired.body!)]
    if (typeof wanted === 'object' && answer.status >= 400 && (wanted['details'] as unknown[]).length === 0) {
      // what is refused on the way has a reason of ours
      expect({ ...(got as object), details: [] }).toEqual(wanted)
    } else if (kong.request.method !== 'HEAD') expect(got).toEqual(wanted)
    expect(Object.keys(answer.headers).filter((it) => grpcs.includes(it))).toEqual([])
  })

  it('puts an error together that comes in pieces, once', async () => {
    const response = { status: 404, headers: {}, body: '{"message":"no Route matched with those values"}' }
    const whole = await repair(response, 'exit', '')
    expect((await repair(response, 'exit', '', 7)).body).toBe(whole.body)
    expect(JSON.parse(whole.body)).toMatchObject({ code: 5, details: [{ reason: 'ROUTE_NOT_FOUND', domain: 'customer-management' }] })
  })

  it('gives reasons of the contract alone', () => {
    const known = new Set(registry.getEnum('customer.error.v1.ErrorReason')!.values.map((it) => it.name.replace('ERROR_REASON_', '')))
    const said = [...header.matchAll(/"([A-Z_]{4,})"/g)].map((it) => it[1]!)
    expect(said.length).toBeGreaterThan(8)
    expect(said.filter((it) => !known.has(it))).toEqual([])
  })

  it('an answer of the service without details stays without, and no text gets out of its quotes', async () => {
    const grpc = (message: string, details?: string) =>
      repair(
        {
          status: 404,
          headers: { 'grpc-status': '5', 'grpc-message': message, ...(details ? { 'x-error-details-bin': details } : {}) },
          body: '',
        },
        'service',
        '200',
      )
    expect(JSON.parse((await grpc('no')).body)).toEqual({ code: 5, status: 'NOT_FOUND', message: 'no', details: [] })
    for (const message of ['a"b', 'a\\', '%22,%22details%22:%22', '%0a%00%7f', '%s%d%%', '%1']) {
      expect(JSON.parse((await grpc(message)).body)).toMatchObject({ code: 5, details: [] })
    }
    for (const details of ['W10=', '!!!', Buffer.from('{"a":1}').toString('base64'), Buffer.from('[1').toString('base64')]) {
      expect(JSON.parse((await grpc('no', details)).body).details).toEqual([])
    }
  })
})
