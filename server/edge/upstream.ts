import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from 'node:http2'

/** What came back for a unary call. */
export type UpstreamAnswer =
  | { readonly kind: 'message'; readonly bytes: Buffer; readonly metadata: IncomingHttpHeaders }
  | { readonly kind: 'status'; readonly code: number; readonly message: string; readonly metadata: IncomingHttpHeaders }
  /** Nobody is there, or what came is no answer of gRPC's. */
  | { readonly kind: 'down' }
  | { readonly kind: 'late' }

export interface Upstream {
  /** `path` is `/package.Service/Method`; the signal ends the call. Never rejects. */
  call(path: string, message: Uint8Array, metadata: Readonly<Record<string, string>>, signal: AbortSignal): Promise<UpstreamAnswer>
  stop(): void
}

export interface UpstreamOptions {
  /** `http://127.0.0.1:50051`, or `https:`; whose certificate is that, is not asked: it is this process's own port. */
  readonly origin: string
  /** For how long the service may be silent, in milliseconds. */
  readonly readTimeoutMs: number
}

/** What Kong takes for the head of an error, about: nginx gives it 4 kB, as they come on the wire. */
const headBytesMax = 4096

/**
 * gRPC to one service, by bytes that are messages already. The generated clients cost three times the call itself, decode metadata, and tell a
 * broken connection and an answer of UNAVAILABLE in the same words.
 */
export function openUpstream({ origin, readTimeoutMs }: UpstreamOptions): Upstream {
  let session: ClientHttp2Session | undefined
  const connected = () => {
    if (session && !session.closed && !session.destroyed) return session
    const made = connect(origin, { rejectUnauthorized: false, maxSessionMemory: 64 })
    // who waits for an answer is told by its own stream
    made.on('error', () => {})
    made.on('goaway', () => made.close())
    made.unref()
    session = made
    return made
  }
  return {
    stop: () => session?.destroy(),
    call: (path, message, metadata, signal) =>
      new Promise((resolve) => {
        let stream: ClientHttp2Stream
        try {
          stream = connected().request({
            ':method': 'POST',
            ':path': path,
            te: 'trailers',
            'content-type': 'application/grpc+proto',
            ...metadata,
          })
        } catch {
          // a name or value that HTTP/2 does not take
          return resolve({ kind: 'down' })
        }
        let head: IncomingHttpHeaders = {}
        let trailers: IncomingHttpHeaders = {}
        const chunks: Buffer[] = []
        const end = (answer: UpstreamAnswer) => {
          signal.removeEventListener('abort', abort)
          stream.close(constants.NGHTTP2_CANCEL)
          resolve(answer)
        }
        const abort = () => end({ kind: 'late' })
        signal.addEventListener('abort', abort)
        stream.setTimeout(Math.min(readTimeoutMs, timeoutMs(metadata['grpc-timeout'])), abort)
        stream.on('response', (it) => (head = it))
        stream.on('trailers', (it) => (trailers = it))
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('error', () => end({ kind: 'down' }))
        stream.on('close', () => end(read(head, Buffer.concat(chunks), trailers)))
        stream.end(framed(message))
      }),
  }
}

const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 }

/** Of a grpc-timeout, which is right or missing. */
const timeoutMs = (text = '99999999H') => Math.ceil(Number(text.slice(0, -1)) * unitsMs[text.slice(-1)]!)

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

function read(head: IncomingHttpHeaders, body: Buffer, trailers: IncomingHttpHeaders): UpstreamAnswer {
  const last = 'grpc-status' in head ? head : trailers
  const code = Number(last['grpc-status'] ?? Number.NaN)
  if (Number(head[':status']) !== 200 || Number.isNaN(code) || sizeOf(last) > headBytesMax) return { kind: 'down' }
  const metadata = Object.fromEntries(Object.entries({ ...head, ...trailers }).filter(([name]) => isMetadata(name)))
  if (code !== 0) return { kind: 'status', code, message: decoded(String(last['grpc-message'] ?? '')), metadata }
  const whole = body.length >= 5 && body[0] === 0 && body.length === 5 + body.readUInt32BE(1)
  return whole ? { kind: 'message', bytes: body.subarray(5), metadata } : { kind: 'down' }
}

const isMetadata = (name: string) => !name.startsWith(':') && !name.startsWith('grpc-') && name !== 'content-type' && name !== 'date'

const sizeOf = (headers: IncomingHttpHeaders) => Object.values(headers).reduce<number>((size, value) => size + String(value).length, 0)

/** Percent-encoded UTF-8, as gRPC writes it. */
const decoded = (text: string) =>
  Buffer.from(
    text.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString()
