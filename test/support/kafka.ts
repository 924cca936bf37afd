import { cp, mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { freePort } from '../../server/dev/free-port.js'
import { run } from '../../server/dev/run.js'
import { copyWithDependencies, fetchOnce } from './maven.js'
import { launch, ServiceMissing, type ServiceProcess } from './service-process.js'
import { makeFolder, removeFolder } from './temp-folder.js'

export interface KafkaBroker extends ServiceProcess {
  brokers: string
  port: number
  /** For people. */
  how: string
}

const version = '4.1.0'
const artifacts = [`org.apache.kafka:kafka_2.13:${version}`, 'org.slf4j:slf4j-nop:1.7.36']
const clusterId = 'Y3VzdG9tZXItdGVzdHMtMQ'
const jvm = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

/**
 * A broker of one's own: one node, KRaft, topics made on demand of an admin only. Ready in 2 to 3 s, the first time on a machine 10.
 * @throws ServiceMissing without Java 17 and Maven, or if Maven can't fetch it.
 */
export async function startKafka(): Promise<KafkaBroker> {
  const java = await findJava()
  const distribution = await fetchDistribution(java)
  const folder = await makeFolder('kafka')
  try {
    await cp(join(distribution, 'storage'), join(folder, 'data'), { recursive: true })
    for (let attempt = 1; ; attempt++) {
      const [port, controllerPort] = [await freePort(), await freePort()]
      const config = join(folder, 'server.properties')
      await writeFile(config, properties({ data: join(folder, 'data'), port, controllerPort }))
      const brokers = `127.0.0.1:${port}`
      try {
        const broker = await launch({
          name: 'Kafka',
          file: java,
          args: [...jvm, 'kafka.Kafka', config],
          env: { PATH: process.env.PATH, CLASSPATH: join(distribution, 'jars', '*') },
          folder,
          answers: () => kafkaAnswers(brokers),
        })
        return Object.assign(broker, { brokers, port, how: `Kafka ${version} from Maven Central on ${brokers}` })
      } catch (err) {
        // another took one of the ports
        if (attempt === 3) throw err
      }
    }
  } catch (err) {
    await removeFolder(folder)
    throw err
  }
}

/** True when a broker answers an admin and takes part in its cluster; one that only listens isn't ready. */
export async function kafkaAnswers(brokers: string): Promise<boolean> {
  const addresses = brokers.split(',')
  // kafkajs takes its time over a refused connection, and a socket none
  if (!(await Promise.all(addresses.map(accepts))).includes(true)) return false
  const client = new Kafka({
    clientId: 'readiness',
    brokers: addresses,
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    retry: { retries: 0 },
  })
  const admin = client.admin()
  try {
    await admin.connect()
    const cluster = await admin.describeCluster()
    return cluster.brokers.length > 0 && cluster.controller !== null && cluster.controller >= 0
  } catch {
    return false
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

function accepts(address: string): Promise<boolean> {
  const [, host, port] = /^(?:\w+:\/\/)?\[?(.*?)\]?:(\d+)$/.exec(address.trim()) ?? []
  if (host === undefined) return Promise.resolve(false)
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: 2_000 })
    const settle = (result: boolean) => {
      socket.destroy()
      resolve(result)
    }
    socket
      .once('connect', () => settle(true))
      .once('error', () => settle(false))
      .once('timeout', () => settle(false))
  })
}

async function findJava(): Promise<string> {
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java'
  const ran = await run(java, ['-version'])
  const major = Number(/version "(\d+)/.exec(ran.output)?.[1] ?? 0)
  if (!ran.ok || major < 17)
    throw new ServiceMissing(`install Java 17 or later and Maven (${ran.ok ? `this is Java ${major}` : 'no java here'})`)
  return java
}

/** The jars, and a storage folder already formatted: a copy of it saves each start a JVM. */
function fetchDistribution(java: string): Promise<string> {
  return fetchOnce(`kafka-${version}`, async (draft) => {
    const [jars, storage] = [join(draft, 'jars'), join(draft, 'storage')]
    await mkdir(jars)
    try {
      await copyWithDependencies(artifacts, jars)
    } catch (err) {
      throw new ServiceMissing('install Maven, and let it reach Maven Central once', err)
    }
    const config = join(draft, 'format.properties')
    await writeFile(config, properties({ data: storage, port: 1, controllerPort: 2 }))
    const formatted = await run(java, [...jvm, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config], {
      env: { PATH: process.env.PATH, CLASSPATH: join(jars, '*') },
    })
    if (!formatted.ok) throw new Error(`Kafka's storage could not be formatted: ${formatted.output}`)
  })
}

function properties({ data, port, controllerPort }: { data: string; port: number; controllerPort: number }): string {
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': data,
    'auto.create.topics.enable': 'false',
    'default.replication.factor': '1',
    'min.insync.replicas': '1',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // fifty, the default, cost the first consumer a second
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    // a broker that was killed gets its place back when its session has run out
    'broker.session.timeout.ms': '5000',
    'broker.heartbeat.interval.ms': '1000',
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
