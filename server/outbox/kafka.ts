import net from 'node:net'
import tls from 'node:tls'
import { type Admin, type ISocketFactory, Kafka, type KafkaConfig, logLevel, Partitioners, type Producer, type SASLOptions } from 'kafkajs'
import type { Log } from '../telemetry/log.js'
import type { EventRecord } from './envelope.js'

// The only file that knows the client, which is no longer maintained: another one can take its place here.

export interface KafkaOptions {
  /** `host:port`. */
  readonly brokers: readonly string[]
  readonly clientId: string
  /** TLS as node:tls takes it; undefined: plain. */
  readonly tls?: tls.ConnectionOptions | undefined
  readonly sasl?:
    | { readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; readonly username: string; readonly password: string }
    | undefined
  readonly connectTimeoutMs?: number
}

/** The broker took offence at the record itself: it would refuse it again. */
export class RecordRefused extends Error {
  override readonly name = 'RecordRefused'
}

export interface KafkaSender {
  /** Connects if there is no connection. Rejects after at most three `connectTimeoutMs`. */
  ready(): Promise<void>
  /**
   * Sends to one topic, in order, each key to one partition; resolves when all replicas in sync have all of it.
   * Rejects after at most `timeoutMs`, then nobody knows what arrived; with RecordRefused if the broker said that it will never take them.
   */
  send(records: readonly EventRecord[], timeoutMs: number): Promise<void>
  /** Within a second. */
  close(): Promise<void>
}

export interface KafkaAdmin {
  listTopics(): Promise<string[]>
  createTopics(topics: readonly string[], partitions: number): Promise<void>
}

const refusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD'])
const closeTimeoutMs = 1_000
const placesMax = 10_000
const adminTimeoutMs = 15_000

/** One client's sockets, so that they can be ended though the client waits for answers that never come. */
function socketsOf() {
  const open = new Set<net.Socket>()
  let closed = false
  const make: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (closed) throw new Error('closed') // what the client tries again by itself, late
    const servername = net.isIP(host) ? {} : { servername: host }
    const socket = ssl ? tls.connect({ host, port, ...servername, ...ssl }, onConnect) : net.connect({ host, port }, onConnect)
    socket.setKeepAlive(true, 60_000)
    socket.setNoDelay(true)
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    return socket
  }
  const destroy = () => {
    closed = true
    for (const socket of open) socket.destroy(new Error('closed'))
  }
  return { make, destroy, closed: () => closed }
}

/** The client says the same for every connection and try: a line in ten seconds is enough, since whoever uses it logs what became of it. */
function quiet(log: Log, everyMs = 10_000) {
  let nextMs = 0
  return (fields: Readonly<Record<string, unknown>>) => {
    if (performance.now() < nextMs) return
    nextMs = performance.now() + everyMs
    log.warn(fields, 'Kafka client')
  }
}

type Sockets = ReturnType<typeof socketsOf>

function clientOf(options: KafkaOptions, sockets: Sockets, requestTimeoutMs: number, warn: ReturnType<typeof quiet>): Kafka {
  const config: KafkaConfig = {
    brokers: [...options.brokers],
    clientId: options.clientId,
    ...(options.tls ? { ssl: options.tls } : {}),
    ...(options.sasl ? { sasl: options.sasl as SASLOptions } : {}),
    connectionTimeout: options.connectTimeoutMs ?? 2_000,
    requestTimeout: requestTimeoutMs,
    retry: { retries: 0 },
    socketFactory: sockets.make,
    logLevel: logLevel.ERROR,
    // that its sockets are gone is no news once we have ended them
    logCreator: () => (entry) => void (sockets.closed() || warn({ message: entry.log.message, namespace: entry.namespace })),
  }
  return new Kafka(config)
}

/**
 * The Java default partitioner, so that a key lands where other clients put it; and every record is placed once. The client, when a send
 * fails, tries it again with the same sequence numbers, and places the records anew: if partitions came to the topic meanwhile, the broker takes
 * a different batch for a repeat and drops it. (Idempotent producers must allow one retry.)
 */
const placingOnce = () => {
  const place = Partitioners.DefaultPartitioner()
  const placed = new WeakSet<object>()
  // The client's hash takes 5 µs, and a batch has few keys.
  const places = new Map<string, number>()
  return (args: Parameters<typeof place>[0]) => {
    const { message, partitionMetadata } = args
    if (placed.has(message)) throw Object.assign(new Error('the send failed'), { retriable: false })
    placed.add(message)
    const name = `${partitionMetadata.length} ${message.key}`
    const known = places.get(name)
    if (known !== undefined) return known
    if (places.size >= placesMax) places.clear()
    const partition = place(args)
    places.set(name, partition)
    return partition
  }
}

/** Header values as bytes, each made once: the client measures text three times over, and most values of a batch are the same. */
function messagesOf(records: readonly EventRecord[]): { key: string; value: string; headers: Record<string, Buffer> }[] {
  const known = new Map<string, Buffer>()
  return records.map((record) => {
    const headers: Record<string, Buffer> = {}
    for (const name in record.headers) {
      const text = record.headers[name]!
      const bytes = known.get(text) ?? Buffer.from(text)
      known.set(text, bytes)
      headers[name] = bytes
    }
    return { key: record.key, value: record.value, headers }
  })
}

interface Connection {
  readonly producer: Producer
  destroy(): void
}

/**
 * A producer that waits for all replicas and is made anew after any failed send, before anything else is sent: the client rolls its sequence
 * numbers back, and the broker then takes the next batch for a repeat and acknowledges it without storing it.
 */
export function createSender(options: KafkaOptions, log: Log): KafkaSender {
  const warn = quiet(log)
  let current: Promise<Connection> | undefined

  const connect = async (): Promise<Connection> => {
    const sockets = socketsOf()
    const { destroy } = sockets
    const client = clientOf(options, sockets, 30_000, warn)
    const producer = client.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: placingOnce,
      retry: { retries: 1, initialRetryTime: 1, maxRetryTime: 1 },
    })
    try {
      await within(producer.connect(), 3 * (options.connectTimeoutMs ?? 2_000))
      return { producer, destroy }
    } catch (err) {
      destroy()
      throw err
    }
  }
  const connection = () => {
    current ??= connect().catch((err) => {
      current = undefined
      throw err
    })
    return current
  }

  return {
    async ready() {
      await connection()
    },
    async send(records, timeoutMs) {
      const { producer, destroy } = await connection()
      const messages = messagesOf(records)
      try {
        await within(producer.send({ topic: records[0]!.topic, acks: -1, timeout: timeoutMs, messages }), timeoutMs)
      } catch (err) {
        current = undefined
        destroy()
        throw refusals.has((err as { type?: string }).type ?? '') ? new RecordRefused((err as Error).message, { cause: err }) : err
      }
    },
    async close() {
      const last = await current?.catch(() => undefined)
      current = undefined
      if (!last) return
      await within(last.producer.disconnect(), closeTimeoutMs).catch(() => {})
      last.destroy()
    },
  }
}

/** Runs `work` with a connection for topics, and closes it. Rejects after 15 s and three `connectTimeoutMs` at the latest. */
export async function withAdmin<T>(options: KafkaOptions, log: Log, work: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
  const sockets = socketsOf()
  const admin: Admin = clientOf(options, sockets, 10_000, quiet(log)).admin({ retry: { retries: 2 } })
  try {
    await within(admin.connect(), 3 * (options.connectTimeoutMs ?? 2_000))
    return await within(
      work({
        listTopics: () => admin.listTopics(),
        async createTopics(topics, numPartitions) {
          const [first] = (await admin.describeCluster()).brokers
          if (!first) throw new Error('Kafka has no broker')
          await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions })), waitForLeaders: true })
        },
      }),
      adminTimeoutMs,
    )
  } finally {
    await within(admin.disconnect(), closeTimeoutMs).catch(() => {})
    sockets.destroy()
  }
}

/** Rejects after `timeoutMs`; what the work does later is nobody's concern any more. */
async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Kafka did not answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}
