import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type EdgeReason, errorBody, refused, sendError, sendJson } from './answer.js'
import { isRest, type Rest } from './rest.js'

export interface Readiness {
  readonly ok: boolean
  /** What was looked at, by name: `postgres: ok`. */
  readonly checks: Readonly<Record<string, string>>
}

export interface HttpOptions {
  readonly hosts: readonly string[]
  /** The same on every host; 0 takes a free one. */
  readonly port: number
  /** Whether calls can be served. An error, or no answer within 2 s, is a no. */
  readonly ready: () => Promise<Readiness>
  /** JSON documents by path: `/openapi.json`. */
  readonly documents?: ReadonlyMap<string, () => object>
  /** Answers below `/v1/` and `/.well-known/`; without it nothing is there. */
  readonly rest?: Rest | undefined
  /** One line for people: a host that this machine hasn't got, or a fault of ours. */
  readonly warn?: (line: string) => void
}

export interface HttpPort {
  readonly port: number
  /** The hosts that it listens on. */
  readonly hosts: readonly string[]
  /** From now on `/readyz` says no; `/healthz` goes on. */
  drain(): void
  /** Lets running requests end, 2 s at most, then cuts. */
  stop(): Promise<void>
}

const readyWithinMs = 2_000
const stopWithinMs = 2_000
const limits = {
  // of one line 8 kB: rest.ts tells which was too long
  maxHeaderSize: 32_768,
  headersTimeout: 5_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  // Node would refuse one without it in words of its own
  requireHostHeader: false,
}
const connectionsMax = 256
const requestsPerConnectionMax = 1_000
/** A call may take 30 s. */
const silentMs = 40_000
const headersMax = 200
/** Nobody takes longer to ask for health: connections are few. */
const healthMs = 5_000

/**
 * The HTTP port: `/healthz` (this process lives, whatever it depends on), `/readyz` (it can serve), and a JSON error for everything else.
 * @throws Error that names HTTP_PORT, where it is taken
 */
export async function openHttp({ hosts, port, ready, rest, documents = new Map(), warn = () => {} }: HttpOptions): Promise<HttpPort> {
  let draining = false
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    request.url = originForm(request.url ?? '')
    const path = request.url.split('?', 1)[0] ?? ''
    if (draining) response.setHeader('connection', 'close')
    if (request.headers.host === undefined && request.httpVersion === '1.1') {
      response.setHeader('connection', 'close')
      return sendError(response, refused(400, 3, 'FIELD_INVALID', 'a request names its host'))
    }
    if (rest && isRest(path)) return rest(request, response, () => draining)
    // nothing else has a body: what comes with one is not read, and its connection ends with the answer
    if (request.headers['content-length'] || request.headers['transfer-encoding']) response.setHeader('connection', 'close')
    const document = documents.get(path)
    if (path !== '/healthz' && path !== '/readyz' && !document)
      return sendError(response, refused(404, 5, 'ROUTE_NOT_FOUND', 'there is nothing at this path'))
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      return sendError(response, refused(405, 12, 'ROUTE_NOT_FOUND', 'GET and HEAD alone'))
    }
    if (document) return sendJson(response, 200, document())
    if (path === '/healthz') return sendJson(response, 200, { ok: true })
    const readiness = draining ? { ok: false, checks: { drain: 'this process is about to stop' } } : await judge(ready)
    // a drain that began meanwhile counts
    sendJson(response, readiness.ok && !draining ? 200 : 503, draining ? { ...readiness, ok: false } : readiness)
  }
  const opened = await listenOnAll(hosts, port, warn, () => {
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      void handle(request, response).catch((err: unknown) => {
        warn(`HTTP: ${err instanceof Error ? err.stack : String(err)}`)
        if (response.headersSent) response.destroy()
        else sendError(response, refused(500, 13, 'INTERNAL', 'internal error'))
      })
    const server = createServer({ ...limits, requestTimeout: rest ? limits.requestTimeout : healthMs }, answer)
    // an expectation that is none of HTTP's is nothing to us
    server.on('checkExpectation', answer)
    server.on('connect', (_, socket) => {
      // Node has let go of it: an error without a listener would end the process
      socket.on('error', () => socket.destroy())
      socket.end('HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    })
    server.maxConnections = connectionsMax
    server.maxRequestsPerSocket = requestsPerConnectionMax
    server.maxHeadersCount = headersMax
    server.timeout = silentMs
    server.on('clientError', answerClientError)
    return server
  })
  return {
    port: opened.port,
    hosts: [...opened.servers.keys()],
    drain: () => {
      draining = true
    },
    stop: async () => {
      draining = true
      await Promise.all([...opened.servers.values()].map(close))
    },
  }
}

/** `http://host/path`, as it is asked of proxies, is `/path`; `//path` is too, as nginx has it. */
const originForm = (url: string) => url.replace(/^https?:\/\/[^/?]*/i, '').replace(/^\/*/, '/')

async function judge(ready: () => Promise<Readiness>): Promise<Readiness> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Readiness>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, checks: { readiness: `no answer within ${readyWithinMs} ms` } }), readyWithinMs)
  })
  // why it failed is for the log of whoever failed, not for whoever can reach this port
  const answer = ready().catch((): Readiness => ({ ok: false, checks: { readiness: 'could not be found out' } }))
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

async function listenOnAll(hosts: readonly string[], asked: number, warn: (line: string) => void, make: () => Server) {
  // a free port on the first host may be taken on the second
  for (let attempt = 1; ; attempt++) {
    const servers = new Map<string, Server>()
    let port = asked
    try {
      for (const host of hosts) {
        const server = make()
        try {
          await listen(server, host, port)
        } catch (err) {
          if (!isMissing(err) || (hosts.length === 1 && host !== '::')) throw err
          warn(`this machine has no ${host}: HTTP does not listen there`)
          continue
        }
        servers.set(host, server)
        port = (server.address() as AddressInfo).port
      }
      if (servers.size === 0) throw new Error(`HTTP can listen on none of ${hosts.join(', ')}: set HOST`)
      return { servers, port }
    } catch (err) {
      await Promise.all([...servers.values()].map(close))
      if (asked === 0 && attempt < 10 && (err as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
      throw err
    }
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (err: NodeJS.ErrnoException) => {
      reject(named(err, host, port))
    })
    server.listen({ host, port, backlog: 128 }, () => {
      server.removeAllListeners('error')
      server.on('error', () => {}) // accepting failed (out of files, say): the next one may succeed
      resolve()
    })
  })
}

function named(err: NodeJS.ErrnoException, host: string, port: number): Error {
  const text = {
    EADDRINUSE: `HTTP_PORT ${port} on ${host} is in use: stop what uses it, or set HTTP_PORT`,
    EACCES: `HTTP_PORT ${port} on ${host} is not ours to open: set HTTP_PORT to one above 1023`,
  }[err.code ?? '']
  return text === undefined ? err : Object.assign(new Error(text, { cause: err }), { code: err.code })
}

const isMissing = (err: unknown) => ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((err as NodeJS.ErrnoException).code ?? '')

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), stopWithinMs)
  await closed
  clearTimeout(timer)
}

function answerClientError(err: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || err.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, phrase, code, reason] = parserErrors[err.code ?? ''] ?? parserErrors['']!
  const body = JSON.stringify(errorBody(refused(status, code, reason, phrase.toLowerCase())))
  const head = `HTTP/1.1 ${status} ${phrase}\r\nconnection: close\r\ncontent-type: application/json\r\n`
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

/** What Node's parser refuses, before there is a request: HTTP's status and phrase, gRPC's code, the reason. */
const parserErrors: Readonly<Record<string, readonly [number, string, number, EdgeReason]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 3, 'REQUEST_TOO_LARGE'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 4, 'DEADLINE'],
  '': [400, 'Bad Request', 3, 'FIELD_INVALID'],
}
