import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { DescService } from '@bufbuild/protobuf'
import { type Route, routesOf } from '../contract/routes.js'
import type { Violation } from '../rpc/fault.js'
import { allowed, type EdgeError, refused, sendAnswer, sendError, statusOfCode } from './answer.js'
import { JsonError, readJson } from './json-reader.js'
import { matchedPath, queryPairs } from './request-path.js'
import { answerJson, Draft } from './transcode.js'
import type { Upstream } from './upstream.js'

export interface RestOptions {
  readonly services: readonly DescService[]
  readonly upstream: Upstream
  /** Shows the service that a call comes from here. */
  readonly gatewaySecret: string
}

/** Answers whatever is asked below `/v1/` and `/.well-known/`. */
export type Rest = (request: IncomingMessage, response: ServerResponse, draining: () => boolean) => Promise<void>

/** As nginx in front of Kong: a line of the head, all of the body, in bytes. */
const lineBytesMax = 8_192
const bodyBytesMax = 1_048_576
const headersMax = 100
/** The service takes 16 kB, its own and HTTP/2's included. */
const metadataBytesMax = 15_000
const parametersMax = 100
const verbs = new Set(['GET', 'POST', 'PATCH', 'DELETE'])

export const isRest = (path: string) => /^\/(v1|\.well-known)\//.test(path)

/** REST as Kong's grpc-gateway serves it with deploy/kong, and stricter where that would act on half of what was said; docs/rest.md has each. */
export function createRest({ services, upstream, gatewaySecret }: RestOptions): Rest {
  const routes = routesOf(services)
  return async (request, response, draining) => {
    allowed(response)
    const requestId = String(request.headers['x-request-id'] ?? randomUUID())
    response.setHeader('x-request-id', requestId)
    try {
      if (request.method === 'OPTIONS') return preflight(request, response)
      const { route, message } = await read(routes, request)
      await pass(route, message)
    } catch (err) {
      if (!isEdgeError(err)) throw err
      if (request.complete) return sendError(response, err)
      // who is still sending reads the answer behind that: a connection that is cut meanwhile would lose it
      response.setHeader('connection', 'close')
      sendError(response, err, lingering(request))
    }

    async function pass(route: Route, message: Uint8Array) {
      const gone = new AbortController()
      response.on('close', () => gone.abort())
      const { method } = route
      const metadata = forwarded(request, requestId, gatewaySecret)
      if (sizeOf(metadata) > metadataBytesMax)
        throw refused(400, 3, 'REQUEST_TOO_LARGE', `the headers have more than ${metadataBytesMax} bytes`)
      const answer = await upstream.call(`/${method.parent.typeName}/${method.name}`, message, metadata, gone.signal)
      if (gone.signal.aborted) return
      if (answer.kind === 'down' && draining()) throw refused(503, 14, 'SHUTTING_DOWN', 'this replica is shutting down; call again')
      if (answer.kind === 'down') throw refused(502, 14, 'DEPENDENCY_DOWN', 'the service gave no answer')
      if (answer.kind === 'late') throw refused(504, 4, 'DEADLINE', 'the service did not answer in time')
      const { 'x-error-details-bin': details, ...headers } = answer.metadata
      for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
      if (answer.kind === 'status') {
        throw {
          status: statusOfCode(answer.code),
          code: answer.code,
          message: answer.message,
          details: detailsOf(details),
        } satisfies EdgeError
      }
      let json: string
      try {
        json = answerJson(method.output, answer.bytes)
      } catch {
        throw refused(502, 14, 'DEPENDENCY_DOWN', 'the service gave no answer')
      }
      sendAnswer(response, json)
    }
  }
}

const isEdgeError = (err: unknown): err is EdgeError => typeof err === 'object' && err !== null && 'status' in err && 'details' in err

async function read(routes: readonly Route[], request: IncomingMessage): Promise<{ route: Route; message: Uint8Array }> {
  const { method: verb = '', url = '', rawHeaders } = request
  if (verb.length + url.length + 11 > lineBytesMax) throw refused(414, 3, 'REQUEST_TOO_LARGE', 'the URI is too long')
  checkHeaders(rawHeaders)
  if (verb === 'TRACE') throw refused(405, 12, 'ROUTE_NOT_FOUND', 'the method is not allowed')
  const [rawPath = '', ...rest] = url.split('?')
  const path = matchedPath(rawPath)
  if (path === undefined) throw refused(400, 3, 'FIELD_INVALID', 'the path is encoded wrongly')
  const route = verbs.has(verb) ? routes.find((it) => it.verb === verb.toLowerCase() && it.pattern.test(path)) : undefined
  if (!route) throw refused(404, 5, 'ROUTE_NOT_FOUND', 'no such route')

  const draft = new Draft(route.method.input)
  const pairs = queryPairs(rest.join('?'))
  const body = await bodyOf(request)
  if (!pairs || pairs.length > parametersMax)
    throw refused(400, 3, 'FIELD_INVALID', `the query is encoded wrongly, or has more than ${parametersMax} parameters`)
  if (!route.hasBody) {
    if (body.length > 0) throw invalid([{ field: '', description: `${verb} has no body here: what it says belongs into the query` }])
    draft.query(pairs)
  } else {
    if (pairs.length > 0) throw invalid([{ field: pairs[0]![0], description: 'stands in the query, and is read in the body alone' }])
    if (body.length > 0) draft.json(objectOf(body))
  }
  const values = route.pattern.exec(path)!.slice(1)
  for (const [i, name] of route.variables.entries()) draft.variable(name, values[i]!)
  if (draft.violations.length > 0) throw invalid(draft.violations)
  return { route, message: draft.bytes() }
}

function checkHeaders(raw: readonly string[]): void {
  const names = raw.filter((_, i) => i % 2 === 0).map((it) => it.toLowerCase())
  const long = names.some((name, i) => name.length + raw[2 * i + 1]!.length + 4 > lineBytesMax)
  if (long || names.length > headersMax)
    throw refused(400, 3, 'REQUEST_TOO_LARGE', 'the request has a header that is too large, or too many')
  if (names.filter((it) => it === 'authorization').length > 1)
    throw refused(400, 3, 'CREDENTIAL_MISSING', 'exactly one credential is needed: authorization: Bearer …')
  const timeout = names.indexOf('grpc-timeout')
  if (timeout >= 0 && !/^\d{1,8}[HMSmun]$/.test(raw[2 * timeout + 1]!)) throw refused(400, 3, 'FIELD_INVALID', 'grpc-timeout is none')
}

const lingerMs = 2_000
const lingerBytesMax = 16 * bodyBytesMax

/** Until the rest of the body is here, unread; or has taken too long, or is too much. */
function lingering(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let length = 0
    const timer = setTimeout(resolve, lingerMs)
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > lingerBytesMax) resolve()
    })
    request.on('close', resolve)
    request.on('end', resolve)
    request.resume()
    request.once('close', () => clearTimeout(timer))
  })
}

/** An early refusal must not destroy the stream, as a loop over it would: its connection would be gone before the answer. */
function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const tooLarge = () => reject(refused(413, 8, 'REQUEST_TOO_LARGE', 'the body is larger than 1 MiB'))
    if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return tooLarge()
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > bodyBytesMax) tooLarge()
      else chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('close', () => reject(refused(400, 1, 'CANCELLED', 'the body broke off')))
  })
}

function objectOf(body: Buffer) {
  try {
    const json = readJson(body)
    if (json instanceof Map) return json
  } catch (err) {
    if (!(err instanceof JsonError)) throw err
    throw invalid([{ field: '', description: err.message }])
  }
  throw invalid([{ field: '', description: 'the body must be a JSON object' }])
}

const shownMax = 20
function invalid(violations: readonly Violation[]): EdgeError {
  const [{ field, description }] = violations as [Violation]
  const message = field === '' ? description : `${field} ${description}`
  const error = refused(400, 3, 'FIELD_INVALID', message, { violations_total: String(violations.length) })
  const badRequest = { '@type': 'type.googleapis.com/google.rpc.BadRequest', field_violations: violations.slice(0, shownMax) }
  return { ...error, details: [...error.details, badRequest] }
}

function detailsOf(given: string | readonly string[] | undefined): readonly unknown[] {
  try {
    const details: unknown = JSON.parse(Buffer.from(String(given ?? ''), 'base64').toString())
    return Array.isArray(details) ? details : []
  } catch {
    return []
  }
}

/** Of one connection, or told anew: what the service must not take for the caller's word. */
const kept =
  /^(?!(?:connection|keep-alive|proxy-connection|transfer-encoding|upgrade|te|trailer|host|content-length|content-type|content-encoding|accept-encoding|expect|http2-settings|x-gateway-secret|x-error-details-bin|x-forwarded-.*|x-real-ip|grpc-(?!timeout$).*)$)/

/** As RFC 9113 counts. */
const sizeOf = (metadata: Readonly<Record<string, string>>) =>
  Object.entries(metadata).reduce((size, [name, value]) => size + name.length + value.length + 32, 0)

function forwarded({ headers, socket }: IncomingMessage, requestId: string, gatewaySecret: string): Record<string, string> {
  const passed = Object.entries(headers).filter(([name, value]) => kept.test(name) && value !== undefined)
  const before = headers['x-forwarded-for']
  return {
    ...Object.fromEntries(passed.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)])),
    'x-request-id': requestId,
    'x-real-ip': socket.remoteAddress ?? 'unknown',
    'x-forwarded-for': `${before === undefined ? '' : `${before}, `}${socket.remoteAddress ?? 'unknown'}`,
    'x-gateway-secret': gatewaySecret,
  }
}

function preflight(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  response.setHeader('access-control-allow-methods', 'GET,POST,PATCH,DELETE')
  response.setHeader('access-control-allow-headers', 'authorization, content-type, x-request-id, traceparent, tracestate')
  response.setHeader('access-control-max-age', '600')
  response.writeHead(200, { 'content-length': 0 }).end()
}
