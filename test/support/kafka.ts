import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
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
  /** Where `secure` was asked for: `host:port` of each kind. */
  secured: Readonly<Record<Protocol, string>> | undefined
  /** For people. */
  how: string
}

export interface KafkaOptions {
  /** More listeners, one of each protocol; `SSL` demands a client's certificate. PEM files, and the one login, by PLAIN and SCRAM-SHA-512. */
  secure?: { ca: string; cert: string; key: string; username: string; password: string }
}

const protocols = ['SSL', 'SASL_SSL', 'SASL_PLAINTEXT'] as const
type Protocol = (typeof protocols)[number]

const version = '4.1.0'
const artifacts = [`org.apache.kafka:kafka_2.13:${version}`, 'org.slf4j:slf4j-nop:1.7.36']
const clusterId = 'Y3VzdG9tZXItdGVzdHMtMQ'
const jvm = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

/**
 * A broker of one's own: one node, KRaft, topics made on demand of an admin only. Ready in 2 to 3 s, the first time on a machine 10.
 * @throws ServiceMissing without Java 17 and Maven, or if Maven can't fetch it.
 */
export async function startKafka({ secure }: KafkaOptions = {}): Promise<KafkaBroker> {
  const java = await findJava()
  const distribution = await fetchDistribution(java)
  const folder = await makeFolder('kafka')
  try {
    await cp(join(distribution, 'storage'), join(folder, 'data'), { recursive: true })
    for (let attempt = 1; ; attempt++) {
      const [port, controllerPort] = [await freePort(), await freePort()]
      const config = join(folder, 'server.properties')
      const plain = properties({ data: join(folder, 'data'), port, controllerPort })
      const more = secure && (await securing(plain, folder, secure))
      await writeFile(config, text(more?.settings ?? plain))
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
        if (secure) await addLogin(java, join(distribution, 'jars', '*'), brokers, secure)
        const how = `Kafka ${version} from Maven Central on ${brokers}`
        return Object.assign(broker, { brokers, port, secured: more?.secured, how })
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
    await writeFile(config, text(properties({ data: storage, port: 1, controllerPort: 2 })))
    const formatted = await run(java, [...jvm, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config], {
      env: { PATH: process.env.PATH, CLASSPATH: join(jars, '*') },
    })
    if (!formatted.ok) throw new Error(`Kafka's storage could not be formatted: ${formatted.output}`)
  })
}

type Settings = Record<string, string>

function properties({ data, port, controllerPort }: { data: string; port: number; controllerPort: number }): Settings {
  return {
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
}

const text = (settings: Settings) =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

type Secure = NonNullable<KafkaOptions['secure']>

/** The broker talks to itself over the plain listener, which stays. */
async function securing(plain: Settings, folder: string, { ca, cert, key, username, password }: Secure) {
  const keyStore = join(folder, 'broker.pem')
  await writeFile(keyStore, (await Promise.all([key, cert].map((path) => readFile(path, 'utf8')))).join(''), { mode: 0o600 })
  const addresses: [Protocol, string][] = []
  for (const protocol of protocols) addresses.push([protocol, `127.0.0.1:${await freePort()}`])
  const beside = (name: string, form: (protocol: Protocol, address: string) => string) =>
    [plain[name], ...addresses.map(([protocol, address]) => form(protocol, address))].join(',')
  const logins = (['SASL_SSL', 'SASL_PLAINTEXT'] as const).map((protocol) => `listener.name.${protocol.toLowerCase()}`)
  const settings: Settings = {
    ...plain,
    listeners: beside('listeners', (protocol, address) => `${protocol}://${address}`),
    'advertised.listeners': beside('advertised.listeners', (protocol, address) => `${protocol}://${address}`),
    'listener.security.protocol.map': beside('listener.security.protocol.map', (protocol) => `${protocol}:${protocol}`),
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keyStore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': ca,
    'listener.name.ssl.ssl.client.auth': 'required',
  }
  for (const login of logins) {
    settings[`${login}.sasl.enabled.mechanisms`] = 'PLAIN,SCRAM-SHA-512'
    settings[`${login}.plain.sasl.jaas.config`] =
      `org.apache.kafka.common.security.plain.PlainLoginModule required user_${username}="${password}";`
    settings[`${login}.scram-sha-512.sasl.jaas.config`] = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  }
  return { settings, secured: Object.fromEntries(addresses) as Record<Protocol, string> }
}

/** What SCRAM needs; Kafka keeps it in its own data. */
async function addLogin(java: string, classPath: string, brokers: string, { username, password }: Secure): Promise<void> {
  const what = ['--entity-type', 'users', '--entity-name', username, '--add-config', `SCRAM-SHA-512=[password=${password}]`]
  const args = [...jvm, 'kafka.admin.ConfigCommand', '--bootstrap-server', brokers, '--alter', ...what]
  const ran = await run(java, args, { env: { PATH: process.env.PATH, CLASSPATH: classPath } })
  if (!ran.ok) throw new Error(`Kafka took no login: ${ran.output}`)
}
