import { randomUUID } from 'node:crypto'
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Server as NetServer } from 'node:net'
import { logVerbosity, Server, type ServerCredentials, type ServerOptions, setLogVerbosity, status } from '@grpc/grpc-js'
import { callerAddress, cameByGateway, type GatewayProof, gatewayDoor } from './gateway.js'
import type { CallFields } from './log.layer.js'
import { refusalDetails } from './status.js'

/** Where grpc-js begins with a call; it takes two arguments of the event, Node gives four. */
type OnStream = (
  interceptors: unknown,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  raw: readonly string[],
) => void

export interface StrictLimits {
  readonly metadataBytes: number
  readonly arrivalMs: number
  readonly connectionsMax: number
}

/**
 * A grpc-js server, mended in six places that it has no option for: a gateway of ours is told from others; connections and the size of metadata are limited; a call whose message does not
 * come is ended; of two `authorization` headers, of which Node keeps the first without a word, both are seen; and what grpc-js refuses by itself,
 * before any layer, has a line in the log, a request id, and never the code INTERNAL.
 */
export function strictServer(
  options: ServerOptions,
  limits: StrictLimits,
  gateways: GatewayProof,
  log: (fields: CallFields) => void,
): Server {
  // It would print headers that it cannot read, the credential among them.
  setLogVerbosity(logVerbosity.NONE)
  const server = new Server(options)
  const settleGateway = gatewayDoor(gateways)
  const http2Options = server['commonServerOptions']
  http2Options.settings = { ...http2Options.settings, maxHeaderListSize: limits.metadataBytes }
  const onStream = server['_streamHandler'] as OnStream
  const mended: OnStream = function (this: Server, interceptors, stream, headers, flags, raw) {
    // As RFC 9113 counts, 6.5.2; headers are latin1, so a character is a byte.
    let size = 0
    let credentials = 0
    for (let i = 0; i < raw.length; i += 2) {
      size += raw[i]!.length + raw[i + 1]!.length + 32
      if (raw[i] === 'authorization') credentials++
    }
    if (credentials > 1) Object.assign(headers, { authorization: raw.filter((_, i) => i % 2 === 1 && raw[i - 1] === 'authorization') })
    settleGateway(headers, stream)
    const path = String(headers[':path'])
    watchRefusals(stream, headers, server['handlers'].has(path), log)
    // Until a client has taken our settings in, Node lets it send more.
    if (size > limits.metadataBytes) return refuse(stream, status.RESOURCE_EXHAUSTED, `more than ${limits.metadataBytes} bytes of metadata`)
    // A caller of reflection goes on asking on the stream that it has.
    if (server['handlers'].get(path)?.type !== 'bidi') awaitMessage(stream, limits.arrivalMs)
    onStream.call(this, interceptors, stream, headers, flags, raw)
  }
  server['_streamHandler'] = mended as (typeof server)['_streamHandler']
  const create = server['createHttp2Server']
  server['createHttp2Server'] = (credentials: ServerCredentials) => {
    const made = create.call(server, credentials)
    ;(made as unknown as NetServer).maxConnections = limits.connectionsMax
    return made
  }
  return server
}

function refuse(stream: ServerHttp2Stream, code: status, why: string): void {
  if (stream.destroyed || stream.headersSent) return
  stream.on('error', () => {})
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc+proto', 'grpc-status': code, 'grpc-message': why },
    { endStream: true },
  )
  stream.close()
}

const late = new WeakSet<ServerHttp2Stream>()

/** No handler is called, and no deadline of ours begins, before the message is there. */
function awaitMessage(stream: ServerHttp2Stream, arrivalMs: number): void {
  const timer = setTimeout(() => {
    late.add(stream)
    // It was answered meanwhile, by a deadline of the caller's: what still comes is not waited for.
    if (stream.headersSent) stream.close(constants.NGHTTP2_CANCEL)
    else refuse(stream, status.DEADLINE_EXCEEDED, `the message did not arrive within ${arrivalMs} ms`)
  }, arrivalMs)
  const came = () => clearTimeout(timer)
  stream.once('end', came).once('close', came)
}

function watchRefusals(stream: ServerHttp2Stream, received: IncomingHttpHeaders, isRpc: boolean, log: (fields: CallFields) => void) {
  const respond = stream.respond
  const start = performance.now()
  stream.respond = (headers = {}, options) => {
    // Answers of ours carry details; a deadline that grpc-js saw first is told by the call's own line.
    const timedOut = headers['grpc-status'] === status.DEADLINE_EXCEEDED && !late.has(stream)
    const detailed = 'grpc-status-details-bin' in headers || 'x-error-details-bin' in headers
    const ours = !options?.endStream || detailed || timedOut
    if (ours) return respond.call(stream, headers, options)
    // What grpc-js calls INTERNAL is a timeout that is none, or compressed bytes that are none; UNIMPLEMENTED of an RPC that is there and no encoding: no message, or two.
    const given = headers['grpc-status']
    const wrong = given === status.INTERNAL || (given === status.UNIMPLEMENTED && isRpc && !('grpc-encoding' in received))
    const code = wrong ? status.INVALID_ARGUMENT : Number(given ?? status.UNKNOWN)
    const requestId = randomUUID()
    log({
      method: String(received[':path']).slice(0, 200),
      code: status[code] ?? 'UNKNOWN',
      duration_ms: Math.round((performance.now() - start) * 1000) / 1000,
      request_id: requestId,
      address: callerAddress(stream.session?.socket?.remoteAddress ?? 'unknown', (name) => received[name]),
    })
    if (!('grpc-status' in headers)) return respond.call(stream, headers, options)
    const viaGateway = cameByGateway((name) => received[name])
    const details = refusalDetails(code, String(headers['grpc-message'] ?? ''), requestId, viaGateway)
    const mended = { ...headers, 'grpc-status': code, 'x-request-id': requestId, ...details }
    return respond.call(stream, mended, options)
  }
}
