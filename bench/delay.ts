import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { TestDatabase } from '../test/support/databases.js'
import type { Stage } from './stage.js'

/** A longer way to PostgreSQL: what goes there arrives `ms` later, what comes back does not wait, so a round trip takes so much more. */
export async function delayed(stage: Stage, { superuserUrl }: TestDatabase, ms: number) {
  const target = Number(new URL(superuserUrl).port)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1').setNoDelay()
    client.setNoDelay()
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (bytes) => setTimeout(() => upstream.write(bytes), ms))
    upstream.on('data', (bytes) => client.write(bytes))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  stage.onStop(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return {
    through(url: string): string {
      const made = new URL(url)
      made.port = String(port)
      return made.href
    },
  }
}
