import { connect, createServer, type Socket } from 'node:net'

export interface HeaderProxy {
  readonly address: string
  stop(): Promise<void>
}

const prefaceBytes = 24
const headersFrame = 1

/** One header of HPACK, without indexing: it leaves the tables of both sides as they are. Name and value below 127 bytes. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
}

/** Adds one more header to every call on its way to `address`, also one that is there already, which no client library would send. */
export async function headerProxy(address: string, name: string, value: string): Promise<HeaderProxy> {
  const extra = literal(name, value)
  const [host, port] = address.split(':') as [string, string]
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(Number(port), host)
    let waiting = Buffer.alloc(0)
    let skipped = false
    near.on('data', (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes])
      if (!skipped && waiting.length >= prefaceBytes) {
        far.write(waiting.subarray(0, prefaceBytes))
        waiting = waiting.subarray(prefaceBytes)
        skipped = true
      }
      while (skipped && waiting.length >= 9 && waiting.length >= 9 + waiting.readUIntBE(0, 3)) {
        const frame = Buffer.from(waiting.subarray(0, 9 + waiting.readUIntBE(0, 3)))
        waiting = waiting.subarray(frame.length)
        if (frame[3] === headersFrame) {
          frame.writeUIntBE(frame.length - 9 + extra.length, 0, 3)
          far.write(Buffer.concat([frame, extra]))
        } else far.write(frame)
      }
    })
    far.on('data', (bytes) => near.write(bytes))
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
