import { connect } from 'node:net'

export interface RawRequest {
  readonly port: number
  readonly host?: string
  readonly method: string
  readonly path: string
  /** As they stand, in this order; a list makes several lines. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: Uint8Array
  /** Bytes a chunk; otherwise the body has a length. */
  readonly chunked?: number | undefined
}
export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** One HTTP/1.1 request, byte for byte as it is asked for: no client mends a path, a method or a header. Reads until the other side closes. */
export function rawHttp({ port, host = '127.0.0.1', method, path, headers = {}, body, chunked }: RawRequest): Promise<RawAnswer> {
  const given = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((it) => [name, it] as const))
  const has = (name: string) => given.some(([it]) => it.toLowerCase() === name)
  const framing = chunked ? [['transfer-encoding', 'chunked']] : body ? [['content-length', String(body.length)]] : []
  const lines = [...(has('host') ? [] : [['host', 'edge.test']]), ...given, ...framing, ['connection', 'close']]
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect({ port, host }, () => {
      socket.write(head)
      if (body && !chunked) socket.write(body)
      if (body && chunked) {
        const parts: Buffer[] = []
        for (let at = 0; at < body.length; at += chunked) {
          const part = body.subarray(at, at + chunked)
          parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), Buffer.from(part), Buffer.from('\r\n'))
        }
        socket.write(Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]))
      }
    })
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    // who refuses early closes while more is on its way: the answer is there all the same
    socket.on('error', (err) => (chunks.length === 0 ? reject(err) : undefined))
    socket.on('close', () => {
      try {
        resolve(parse(Buffer.concat(chunks)))
      } catch (err) {
        reject(err)
      }
    })
  })
}

function parse(bytes: Buffer): RawAnswer {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) throw new Error(`no answer: ${bytes.toString('latin1').slice(0, 200)}`)
  const [first = '', ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const status = Number(first.split(' ')[1])
  if (status === 100) return parse(bytes.subarray(end + 4))
  const headers = Object.fromEntries(
    rest.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status, headers, body: bytes.subarray(end + 4) }
}
