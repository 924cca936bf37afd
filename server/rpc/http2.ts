import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { logVerbosity, Server, type ServerOptions, setLogVerbosity, status } from '@grpc/grpc-js'
import { addressOf } from './address.js'
import type { CallFields } from './log.layer.js'

/** Where grpc-js begins with a call; it takes two arguments of the event, Node gives four. */
type OnStream = (
  interceptors: unknown,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  raw: readonly string[],
) => void

/**
 * A grpc-js server, mended in three places that it has no option for:
 * the size of metadata is limited; of two `authorization` headers, of which Node keeps the first without a word, both are seen; and what
 * grpc-js refuses by itself, before any layer, has a line in the log, a request id, and never the code INTERNAL.
 */
export function strictServer(options: ServerOptions, metadataBytes: number, log: (fields: CallFields) => void): Server {
  // It would print headers that it cannot read, the credential among them.
  setLogVerbosity(logVerbosity.NONE)
  const server = new Server(options)
  const http2Options = server['commonServerOptions']
  http2Options.settings = { ...http2Options.settings, maxHeaderListSize: metadataBytes }
  const onStream = server['_streamHandler'] as OnStream
  const mended: OnStream = function (this: Server, interceptors, stream, headers, flags, raw) {
    const credentials = raw.filter((_, i) => i % 2 === 1 && raw[i - 1] === 'authorization')
    if (credentials.length > 1) Object.assign(headers, { authorization: credentials })
    watchRefusals(stream, String(headers[':path']), log)
    onStream.call(this, interceptors, stream, headers, flags, raw)
  }
  server['_streamHandler'] = mended as (typeof server)['_streamHandler']
  return server
}

function watchRefusals(stream: ServerHttp2Stream, path: string, log: (fields: CallFields) => void) {
  const respond = stream.respond
  const start = performance.now()
  stream.respond = (headers = {}, options) => {
    // Answers of ours carry details; a deadline that grpc-js saw first is told by the call's own line.
    const ours = !options?.endStream || 'grpc-status-details-bin' in headers || headers['grpc-status'] === status.DEADLINE_EXCEEDED
    if (ours) return respond.call(stream, headers, options)
    // What grpc-js calls INTERNAL is a timeout that is none, or compressed bytes that are none.
    const code = headers['grpc-status'] === status.INTERNAL ? status.INVALID_ARGUMENT : Number(headers['grpc-status'] ?? status.UNKNOWN)
    const requestId = randomUUID()
    log({
      method: path.slice(0, 200),
      code: status[code] ?? 'UNKNOWN',
      duration_ms: Math.round((performance.now() - start) * 1000) / 1000,
      request_id: requestId,
      address: addressOf(stream.session?.socket?.remoteAddress ?? 'unknown'),
    })
    const mended = 'grpc-status' in headers ? { ...headers, 'grpc-status': code, 'x-request-id': requestId } : headers
    return respond.call(stream, mended, options)
  }
}
