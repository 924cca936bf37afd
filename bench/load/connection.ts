import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { flag, frame, frameType, grpcMessage, headBytes, headerBlocks, preface, settings, windowUpdate } from './frames.js'

export interface Target {
  /** `127.0.0.1:50051`. */
  readonly address: string
  /** `/package.Service/Method`. */
  readonly path: string
  /** Sent as a bearer token; '' sends none. */
  readonly key: string
}

const slots = 4096

/**
 * One HTTP/2 connection that makes unary calls of one method, from frames that are made once. It reads no header of an answer: a call has
 * succeeded if it has a message, since gRPC's refusals have none. A call costs it some 5 µs.
 */
export class Connection {
  /** Called at the end of each call, and of all that are left when the connection breaks. */
  ended: (ok: boolean, startMs: number) => void = () => {}
  /** Calls that have not ended. */
  underWay = 0
  readonly #socket: Socket
  readonly #templates: Buffer[]
  readonly #firstHeaders: Buffer
  readonly #startMs = new Float64Array(slots)
  readonly #hasMessage = new Uint8Array(slots)
  #stream = 1
  #rest: Buffer = Buffer.alloc(0)
  #out: Buffer[] = []
  #sendSoon = false
  #received = 0

  private constructor(socket: Socket, { address, path, key }: Target, messages: readonly Uint8Array[]) {
    this.#socket = socket
    const { first, later } = headerBlocks({
      ':authority': address,
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'bench',
      ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
    })
    this.#firstHeaders = frame(frameType.headers, flag.endHeaders, 0, first)
    const headers = frame(frameType.headers, flag.endHeaders, 0, later)
    this.#templates = messages.map((message) => Buffer.concat([headers, frame(frameType.data, flag.endStream, 0, grpcMessage(message))]))
    this.#laterBytes = headers.length
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('close', () => this.#lost())
    socket.on('error', () => {})
  }

  readonly #laterBytes: number

  static async open(target: Target, messages: readonly Uint8Array[]): Promise<Connection> {
    const [host, port] = target.address.split(':')
    const socket = connect(Number(port), host).setNoDelay()
    await once(socket, 'connect')
    socket.write(Buffer.concat([preface, settings(), windowUpdate(2 ** 30)]))
    return new Connection(socket, target, messages)
  }

  /**
   * @param nth which of the messages to send
   * @param startMs when it should have gone out
   */
  call(nth: number, startMs: number): void {
    const template = this.#templates[nth % this.#templates.length]!
    const stream = this.#stream
    this.#stream += 2
    const isFirst = stream === 1
    const bytes = isFirst ? Buffer.concat([this.#firstHeaders, template.subarray(this.#laterBytes)]) : Buffer.from(template)
    bytes.writeUInt32BE(stream, 5)
    bytes.writeUInt32BE(stream, (isFirst ? this.#firstHeaders.length : this.#laterBytes) + 5)
    const slot = (stream >>> 1) % slots
    this.#startMs[slot] = startMs
    this.#hasMessage[slot] = 0
    this.underWay++
    if (this.#socket.destroyed) setImmediate(() => this.#lost())
    else this.#send(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }

  /** What one turn of the event loop has to send is one write. */
  #send(bytes: Buffer) {
    this.#out.push(bytes)
    if (this.#sendSoon) return
    this.#sendSoon = true
    process.nextTick(() => {
      this.#sendSoon = false
      this.#socket.write(this.#out.length === 1 ? this.#out[0]! : Buffer.concat(this.#out))
      this.#out = []
    })
  }

  #read(chunk: Buffer) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= headBytes) {
      const length = bytes.readUIntBE(at, 3)
      if (bytes.length - at < headBytes + length) break
      this.#frame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5), bytes, at + headBytes, length)
      at += headBytes + length
    }
    this.#rest = bytes.subarray(at)
  }

  #frame(type: number, flags: number, stream: number, bytes: Buffer, at: number, length: number) {
    const isAck = (flags & flag.ack) !== 0
    if (type === frameType.settings && !isAck) this.#send(frame(frameType.settings, flag.ack, 0, Buffer.alloc(0)))
    else if (type === frameType.ping && !isAck) this.#send(frame(frameType.ping, flag.ack, 0, bytes.subarray(at, at + length)))
    else if (type === frameType.reset) this.#end(stream, false)
    else if (type === frameType.data || type === frameType.headers) {
      const slot = (stream >>> 1) % slots
      if (type === frameType.data && length > 0) {
        this.#hasMessage[slot] = 1
        this.#received += length
        if (this.#received > 2 ** 28) {
          this.#send(windowUpdate(this.#received))
          this.#received = 0
        }
      }
      if ((flags & flag.endStream) !== 0) this.#end(stream, this.#hasMessage[slot] === 1)
    }
  }

  #end(stream: number, ok: boolean) {
    this.underWay--
    this.ended(ok, this.#startMs[(stream >>> 1) % slots]!)
  }

  #lost() {
    for (; this.underWay > 0; this.underWay--) this.ended(false, performance.now())
  }
}
