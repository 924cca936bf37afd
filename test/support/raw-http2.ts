import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, continuation: 9 } as const
export const flag = { ack: 1, endStream: 1, endHeaders: 4 } as const

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** HTTP/2 as no client writes it: frames by hand, and nothing is answered by itself. */
export interface RawHttp2 {
  readonly socket: Socket
  readonly received: readonly Frame[]
  /** Whether the other end has closed. */
  closed(): boolean
  /** Resolves once the socket took it; at once where it is closed. */
  write(...bytes: Uint8Array[]): Promise<void>
}

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** HPACK without its table and its code: every field literal. */
export function headerBlock(fields: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => Buffer.concat([integer(value.length), Buffer.from(value, 'latin1')])
  return Buffer.concat(Object.entries(fields).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]))
}

function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  for (let rest = value - 127; ; rest >>= 7) {
    bytes.push(rest < 128 ? rest : (rest & 127) | 128)
    if (rest < 128) return Buffer.from(bytes)
  }
}

export const callHeaders = (path: string, key: string, more: Readonly<Record<string, string>> = {}) =>
  headerBlock({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    te: 'trailers',
    'content-type': 'application/grpc',
    authorization: `Bearer ${key}`,
    ...more,
  })

export async function openRaw(address: string): Promise<RawHttp2> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  await once(socket, 'connect')
  const received: Frame[] = []
  let waiting = Buffer.alloc(0)
  let closed = false
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
  })
  socket.on('end', () => {
    closed = true
  })
  socket.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk])
    while (waiting.length >= 9 && waiting.length >= 9 + waiting.readUIntBE(0, 3)) {
      const length = waiting.readUIntBE(0, 3)
      const payload = Buffer.from(waiting.subarray(9, 9 + length))
      received.push({ type: waiting.readUInt8(3), flags: waiting.readUInt8(4), stream: waiting.readUInt32BE(5), payload })
      waiting = waiting.subarray(9 + length)
    }
  })
  return {
    socket,
    received,
    closed: () => closed,
    write: (...bytes) =>
      new Promise((resolve) => {
        if (closed || socket.destroyed) return resolve()
        socket.write(Buffer.concat(bytes), () => resolve())
      }),
  }
}
