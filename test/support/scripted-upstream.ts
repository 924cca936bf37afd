import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'

/** What reached the service: the RPC, the message's bytes, the metadata. */
export interface Arrived {
  readonly path: string
  readonly bytes: Buffer
  readonly metadata: Readonly<Record<string, string>>
}
/** How it answers: initial metadata and message, then the trailers; or, without a message, the trailers alone. */
export interface Script {
  readonly initial?: Readonly<Record<string, string>> | undefined
  readonly message?: Uint8Array | undefined
  readonly trailers: Readonly<Record<string, string>>
  readonly delayMs?: number
}

/** A gRPC server that says what it is told, byte for byte, over HTTP/2 itself. */
export async function startScriptedUpstream() {
  let script: Script = { trailers: { 'grpc-status': '0' } }
  let arrived: Arrived | undefined
  const answer = (stream: ServerHttp2Stream) => {
    const { initial, message, trailers } = script
    if (stream.destroyed) return
    if (!initial && !message)
      return stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true })
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...initial }, { waitForTrailers: true })
    if (message) {
      const frame = Buffer.alloc(5)
      frame.writeUInt32BE(message.length, 1)
      stream.write(Buffer.concat([frame, message]))
    }
    stream.end()
  }
  const server = createServer({ maxHeaderListPairs: 128 } as object)
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  let open = 0
  server.on('stream', (stream, headers) => {
    open++
    stream.on('close', () => open--)
    const chunks: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      const metadata = Object.fromEntries(
        Object.entries(headers)
          .filter(([name]) => !name.startsWith(':'))
          .map(([name, it]) => [name, String(it)]),
      )
      arrived = { path: String(headers[':path']), bytes: Buffer.concat(chunks).subarray(5), metadata }
      setTimeout(() => answer(stream), script.delayMs ?? 0)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers(next: Script) {
      script = next
      arrived = undefined
    },
    arrived: () => arrived,
    /** Calls that nobody has ended. */
    open: () => open,
    /** Ends all connections. */
    cut: () => {
      for (const it of sessions) it.destroy()
    },
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const it of sessions) it.destroy()
      }),
  }
}
