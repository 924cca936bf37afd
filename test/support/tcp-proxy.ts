import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { freePort } from '../../server/dev/free-port.js'
import { PostgresFrames } from './postgres-frames.js'

/** What becomes of the message that a hook was called for, and of all that its connection would have sent after it. */
export type Verdict = 'pass' | 'cut'
type Hook = () => Verdict | Promise<Verdict>

export interface TcpProxy {
  host: '127.0.0.1'
  port: number
  /** Delay of each direction, for what comes from now on; a round trip costs twice that. */
  latencyMs: number
  /** Nothing moves any more in either direction and nobody is told, as where a cable is out; off: what waited moves on. */
  blackHole(on: boolean): void
  /** Both ends of every connection see ECONNRESET. */
  resetAll(): void
  /** New connections see ECONNREFUSED; those that stand, stand. */
  refuse(on: boolean): Promise<void>
  /** Messages that clients sent to PostgreSQL so far, over all connections, those of the start-up too; 0 for other protocols. */
  readonly messages: number
  /**
   * Calls the hook once, when the n-th message from now on has come (the next one is the first) and before it is passed on; all
   * messages before it have been. `cut` ends this connection instead, as if its client had died there.
   */
  atMessage(n: number, hook: Hook): void
  stop(): Promise<void>
}

export interface TcpProxyOptions {
  /** Where it leads to; 127.0.0.1 if not said. */
  host?: string
  port: number
  /** Set for PostgreSQL without TLS, whose messages are counted. */
  protocol?: 'postgres'
}

/** A TCP proxy on a port of its own, to hurt the connections between a service and what it depends on. */
export async function startTcpProxy({ host = '127.0.0.1', port: target, protocol }: TcpProxyOptions): Promise<TcpProxy> {
  const port = await freePort()
  const sockets = new Set<Socket>()
  const lines = new Set<Line>()
  let held = false
  let messages = 0
  let next: { at: number; hook: Hook } | undefined

  const lineTo = (socket: Socket) => {
    const line = new Line(socket, () => held)
    lines.add(line)
    sockets.add(socket)
    socket.once('close', () => {
      lines.delete(line)
      sockets.delete(socket)
    })
    return line
  }

  const accept = (client: Socket) => {
    const server = connect({ host, port: target, allowHalfOpen: true })
    const [toServer, toClient] = [lineTo(server.setNoDelay()), lineTo(client.setNoDelay())]
    const frames = protocol === 'postgres' ? new PostgresFrames() : undefined
    const send = (bytes: Buffer) => toServer.push(bytes, proxy.latencyMs)
    const passOn = async (chunk: Buffer): Promise<void> => {
      let [sent, end] = [0, 0]
      for (const nextEnd of frames?.ends(chunk) ?? []) {
        messages++
        if (next?.at === messages) {
          const { hook } = next
          next = undefined
          send(chunk.subarray(sent, end))
          sent = end
          if ((await hook()) === 'cut') {
            // what came before must still arrive, so PostgreSQL sees an end and no reset
            toServer.push('end', proxy.latencyMs)
            client.destroy()
            return
          }
        }
        end = nextEnd
      }
      send(chunk.subarray(sent))
    }
    let passing = Promise.resolve()
    client.on('data', (chunk: Buffer) => (passing = passing.then(() => passOn(chunk))))
    client.on('end', () => (passing = passing.then(() => toServer.push('end', proxy.latencyMs))))
    server.on('data', (chunk: Buffer) => toClient.push(chunk, proxy.latencyMs))
    server.on('end', () => toClient.push('end', proxy.latencyMs))
    client.on('error', () => (passing = passing.then(() => toServer.push('reset', proxy.latencyMs))))
    server.on('error', () => toClient.push('reset', proxy.latencyMs))
  }

  let listener = createServer()
  const listen = async () => {
    listener = createServer({ allowHalfOpen: true }, accept).listen({ port, host: '127.0.0.1', exclusive: true })
    await once(listener, 'listening')
  }
  const resetAll = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const proxy: TcpProxy = {
    host: '127.0.0.1',
    port,
    latencyMs: 0,
    blackHole: (on) => {
      held = on
      if (!on) for (const line of lines) line.flush()
    },
    resetAll,
    refuse: async (on) => {
      // `close` would wait for the connections that stand
      if (on) listener.close()
      else if (!listener.listening) await listen()
    },
    get messages() {
      return messages
    },
    atMessage: (n, hook) => {
      next = { at: messages + n, hook }
    },
    stop: async () => {
      listener.close()
      resetAll()
    },
  }
  await listen()
  return proxy
}

/** One direction of one connection: what it was given arrives in order, late, and not at all while the proxy is a black hole. */
class Line {
  readonly #waiting: { what: Buffer | 'end' | 'reset'; dueMs: number }[] = []

  constructor(
    readonly socket: Socket,
    readonly held: () => boolean,
  ) {}

  push(what: Buffer | 'end' | 'reset', latencyMs: number): void {
    if (what.length === 0) return
    this.#waiting.push({ what, dueMs: performance.now() + latencyMs })
    if (latencyMs > 0) setTimeout(() => this.flush(), latencyMs + 1)
    else this.flush()
  }

  flush(): void {
    while (!this.held() && this.#waiting.length > 0 && this.#waiting[0]!.dueMs <= performance.now()) {
      const { what } = this.#waiting.shift()!
      if (what === 'reset') this.socket.resetAndDestroy()
      else if (!this.socket.writable) continue
      else if (what === 'end') this.socket.end()
      else this.socket.write(what)
    }
  }
}
