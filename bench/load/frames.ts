/** The few pieces of HTTP/2 (RFC 9113) and HPACK (RFC 7541) that a caller of unary RPCs needs. */
export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const
export const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const
export const headBytes = 9
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(headBytes + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, headBytes)
  return bytes
}

export const windowUpdate = (bytes: number) => {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(bytes)
  return frame(frameType.windowUpdate, 0, 0, payload)
}

/** No pushes, and streams that never wait for a window. */
export const settings = () => {
  const payload = Buffer.alloc(12)
  payload.writeUInt16BE(2, 0)
  payload.writeUInt16BE(4, 6)
  payload.writeUInt32BE(2 ** 30, 8)
  return frame(frameType.settings, 0, 0, payload)
}

/** Of the static table. */
const staticIndex: Record<string, number> = { ':authority': 1, ':path': 4, 'content-type': 31, authorization: 23, 'user-agent': 58 }
const methodPost = 0x83
const schemeHttp = 0x86
/** The dynamic table begins behind the static one; the newest entry stands first. */
const firstDynamic = 62

/**
 * The header blocks of calls to one method: the first of a connection brings its fields into the server's table, the later ones name them by
 * their index, as real clients do.
 */
export function headerBlocks(fields: Readonly<Record<string, string>>): { first: Buffer; later: Buffer } {
  const names = Object.keys(fields)
  const first = names.flatMap((name) => {
    const index = staticIndex[name]
    const start = index === undefined ? [0x40, ...text(name)] : [0x40 | index]
    return [...start, ...text(fields[name]!)]
  })
  const later = names.map((_, i) => 0x80 | (firstDynamic + names.length - 1 - i))
  return { first: Buffer.from([methodPost, schemeHttp, ...first]), later: Buffer.from([methodPost, schemeHttp, ...later]) }
}

/** A string without Huffman's code; its length is an integer with a prefix of 7 bits. */
function text(value: string): number[] {
  const bytes = Buffer.from(value)
  if (bytes.length < 127) return [bytes.length, ...bytes]
  const length: number[] = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128)
  return [...length, rest, ...bytes]
}

/** A gRPC message, not compressed, behind its five bytes. */
export function grpcMessage(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + message.length)
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, 5)
  return bytes
}
