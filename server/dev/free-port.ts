import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Below the ranges from which kernels take the ports of clients (Linux 32768, others 49152). A server that comes back on such a port
 * can find it taken: by any outgoing connection, or by a client of its own that tried to reconnect and met itself.
 */
const [lowest, beyond] = [20_000, 32_000]

/** A port of 127.0.0.1 that was free a moment ago. Whoever takes it must be ready to lose the race and ask again. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; attempt <= 100; attempt++) {
    const port = randomInt(lowest, beyond)
    if (await isPortFree(port)) return port
  }
  throw new Error('no free port on 127.0.0.1')
}

export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
