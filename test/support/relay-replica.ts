import { makeRingKey } from '../../server/keys/ring.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import type { TestDatabase } from './databases.js'
import { type ServerProcess, startServerProcess } from './server-process.js'
import { startTcpProxy } from './tcp-proxy.js'
import { forgetPid, watchPid } from './watchdog.js'

/** A built server as a process to be hurt: its relay's messages to PostgreSQL are counted. */
export interface Replica {
  readonly server: ServerProcess
  readonly pid: number
  /**
   * Signals it when its relay has sent the n-th message from now on; resolves when it was signalled. With `delayMs` 0 a kill comes before that
   * message arrives, so what was published is not marked; later ones fall into whatever the relay does next, its sends above all.
   */
  signalAt(n: number, signal: 'SIGKILL' | 'SIGSTOP', delayMs: number): Promise<void>
  signal(signal: NodeJS.Signals): void
  end(): Promise<void>
}

export interface Replicas {
  start(): Promise<Replica>
  /** Those that run or are stopped. */
  readonly all: ReadonlySet<Replica>
  /** Ends them all. */
  end(): Promise<void>
}

/** Replicas of one service: the same database, keys and topics. */
export function replicasOf(database: TestDatabase, brokers: string, topicPrefix: string): Replicas {
  const all = new Set<Replica>()
  const keys = { BOOTSTRAP_API_KEY: makePlatformKey(), KEY_ENCRYPTION_KEYS: makeRingKey() }
  const start = async (): Promise<Replica> => {
    const direct = new URL(database.urls.relay)
    const proxy = await startTcpProxy({ host: direct.hostname, port: Number(direct.port), protocol: 'postgres' })
    const relayUrl = Object.assign(new URL(direct), { host: `127.0.0.1:${proxy.port}` }).href
    const server = await startServerProcess({
      ...keys,
      DATABASE_URL: database.urls.app,
      RELAY_DATABASE_URL: relayUrl,
      RETENTION_DATABASE_URL: database.urls.retention,
      KAFKA_BROKERS: brokers,
      KAFKA_TOPIC_PREFIX: topicPrefix,
      KAFKA_PARTITIONS: '3',
    })
    const { pid } = server
    watchPid(pid)
    const replica: Replica = {
      server,
      pid,
      signalAt: (n, signal, delayMs) =>
        new Promise((resolve) => {
          const strike = () => {
            server.process.kill(signal)
            resolve()
          }
          proxy.atMessage(n, () => {
            if (delayMs > 0) setTimeout(strike, delayMs)
            else strike()
            return signal === 'SIGKILL' && delayMs === 0 ? 'cut' : 'pass'
          })
        }),
      signal: (signal) => void server.process.kill(signal),
      async end() {
        server.process.kill('SIGKILL')
        await server.exited
      },
    }
    all.add(replica)
    void server.exited.then(async () => {
      forgetPid(pid)
      all.delete(replica)
      await proxy.stop()
    })
    return replica
  }
  return {
    start,
    all,
    async end() {
      await Promise.all([...all].map((replica) => replica.end()))
    },
  }
}
