import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChannelCredentials, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { PlatformServiceClient } from '../../gen/customer/platform/v1/platform_service.js'
import { databaseAnswers } from '../../server/db/answers.js'
import { readPems } from '../../server/keys/pem-files.js'
import { type Certificates, makeCertificates } from '../support/certificates.js'
import { createDatabase, prepareCluster, type TestDatabase } from '../support/databases.js'
import { type KafkaBroker, startKafka } from '../support/kafka.js'
import { type PostgresCluster, startPostgresCluster } from '../support/postgres.js'
import { demandTls } from '../support/postgres-tls.js'
import { ServiceMissing } from '../support/service-process.js'
import { type Solo, startSolo } from '../support/solo.js'
import { until } from '../support/until.js'

const folder = mkdtempSync(join(tmpdir(), 'tls-'))
const made = makeCertificates(folder)
const files = made as Certificates
const own = { ca: files?.ca, cert: files?.cert, key: files?.key }
afterAll(() => rmSync(folder, { recursive: true }))

type Env = Record<string, string>
const tlsEnv = (prefix: string, { ca, cert, key }: { ca?: string; cert?: string; key?: string }): Env => ({
  [`${prefix}_TLS`]: 'verify-full',
  ...(ca ? { [`${prefix}_TLS_CA`]: ca } : {}),
  ...(cert && key ? { [`${prefix}_TLS_CERT`]: cert, [`${prefix}_TLS_KEY`]: key } : {}),
})

const started: Solo[] = []
async function open(options: Parameters<typeof startSolo>[0]): Promise<Solo> {
  const solo = await startSolo(options)
  started.push(solo)
  return solo
}
const stopAll = async () => {
  for (const solo of started.splice(0)) await solo.stop()
}

/** Why it did not start. */
const refusal = (options: Parameters<typeof startSolo>[0]) =>
  open(options).then(
    () => 'it started',
    (err: Error) => err.message,
  )

/** The same port under an address that no certificate of ours bears. */
async function underAnotherName(port: number): Promise<{ host: string; server: Server }> {
  const server = createServer((socket) => {
    const other = connect(port, '127.0.0.1')
    socket.on('error', () => other.destroy()).pipe(other)
    other.on('error', () => socket.destroy()).pipe(socket)
  }).listen(0, '127.0.0.2')
  await once(server, 'listening')
  return { host: `127.0.0.2:${(server.address() as AddressInfo).port}`, server }
}

describe.skipIf(!made)('gRPC over TLS', () => {
  afterAll(stopAll)

  const call = ({ address, key }: Solo, creds: ChannelCredentials, headers: Env = {}) =>
    new Promise<string>((resolve) => {
      const client = new PlatformServiceClient(address, creds, { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1 })
      const metadata = new Metadata()
      metadata.set('authorization', `Bearer ${key}`)
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
      client.getServerInfo({}, metadata, { deadline: Date.now() + 10_000 }, (err: ServiceError | null) => {
        client.close()
        resolve(err ? `${status[err.code]}: ${err.details}` : 'OK')
      })
    })
  const trusting = (name: 'ca' | 'otherCa', own: { cert?: string; key?: string } = {}) => {
    const pem = readPems({ ca: files[name], ...own })
    return credentials.createSsl(...[pem.ca, pem.key, pem.cert].map((text) => (text === undefined ? null : Buffer.from(text))))
  }
  const env = () => ({ GRPC_TLS_CERT: files.cert, GRPC_TLS_KEY: files.key })

  it('C-089 serves who trusts its authority, and nobody who does not, nor who speaks plain text', async () => {
    const solo = await open({ env: env() })
    expect(await call(solo, trusting('ca'))).toBe('OK')
    expect(await call(solo, trusting('otherCa'))).toMatch(/^UNAVAILABLE: .*certificate/)
    expect(await call(solo, credentials.createInsecure())).toMatch(/^UNAVAILABLE/)
    expect(await call(solo, trusting('ca'))).toBe('OK')
    const calls = solo.lines.filter((line) => line['msg'] === 'call')
    expect(calls).toHaveLength(2)
  })

  it('C-089 with GRPC_TLS_CLIENT_CA: a caller with a certificate of its is served, one without, or with another’s, is not', async () => {
    const solo = await open({ env: { ...env(), GRPC_TLS_CLIENT_CA: files.ca } })
    expect(await call(solo, trusting('ca', { cert: files.cert, key: files.key }))).toBe('OK')
    expect(await call(solo, trusting('ca'))).toMatch(/^UNAVAILABLE/)
    expect(await call(solo, trusting('ca', { cert: files.otherCert, key: files.otherKey }))).toMatch(/^UNAVAILABLE/)
    expect(solo.lines.filter((line) => line['msg'] === 'call')).toHaveLength(1)
  })

  it('C-069 a gateway is known by a name in its certificate, and believed about the caller’s address; no other certificate is', async () => {
    for (const [san, address] of [
      ['localhost', '198.51.100.7'],
      ['kong.internal', '127.0.0.1'],
    ] as const) {
      const solo = await open({ env: { ...env(), GRPC_TLS_CLIENT_CA: files.ca, GATEWAY_CLIENT_SAN: san } })
      expect(await call(solo, trusting('ca', own), { 'x-forwarded-for': '1.2.3.4, 198.51.100.7' })).toBe('OK')
      expect(solo.lines.find((it) => String(it['method']).endsWith('GetServerInfo'))).toMatchObject({ address })
    }
  })

  it('REST of development reaches it too; where callers must show a certificate there is none', async () => {
    const rest = async ({ httpPort, key }: Solo) =>
      (await fetch(`http://127.0.0.1:${httpPort}/v1/tenants`, { headers: { authorization: `Bearer ${key}` } })).status
    expect(await rest(await open({ env: env() }))).toBe(200)
    expect(await rest(await open({ env: { ...env(), GRPC_TLS_CLIENT_CA: files.ca } }))).toBe(404)
  })

  it('does not start with the key of another certificate', async () => {
    expect(await refusal({ env: { GRPC_TLS_CERT: files.cert, GRPC_TLS_KEY: files.otherKey } })).toMatch(/key/i)
  })
})

describe.skipIf(!made)('PostgreSQL over TLS', () => {
  let cluster: PostgresCluster
  let database: TestDatabase
  let other: Awaited<ReturnType<typeof underAnotherName>>
  beforeAll(async () => {
    cluster = await startPostgresCluster({ crashSafe: false })
    database = await createDatabase(await prepareCluster(cluster.superuserUrl))
    await demandTls(cluster.superuserUrl, files)
    other = await underAnotherName(cluster.port)
  })
  afterAll(async () => {
    await stopAll()
    other?.server.close()
    await cluster?.stop()
  })

  const at = (host: string): TestDatabase => {
    const urls = Object.entries(database.urls).map(([name, url]) => [name, Object.assign(new URL(url), { host }).href])
    return { ...database, urls: Object.fromEntries(urls) }
  }
  it('all logins use it, with a certificate of their own', async () => {
    const solo = await open({ database, env: tlsEnv('DATABASE', own) })
    const { id } = await solo.clients.tenants.createTenant({ displayName: 'Over TLS', slug: 'over-tls', ownerEmail: 'owner@acme.example' })
    expect((await solo.clients.tenants.getTenant({ tenantId: id })).slug).toBe('over-tls')
    const { rows } = await solo.superuser.query(
      'select distinct usename, ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = any($1) order by 1',
      [['app', 'relay', 'retention']],
    )
    expect(rows).toContainEqual({ usename: 'app', ssl: true })
    expect(rows.filter((row) => !row.ssl)).toEqual([])
  })

  it.each<[string, RegExp, () => Env, 'another name'?]>([
    ['an authority that did not sign its certificate', /certificate/, () => tlsEnv('DATABASE', { ...own, ca: files.otherCa })],
    ["Node's own authorities", /certificate/, () => tlsEnv('DATABASE', { cert: files.cert, key: files.key })],
    ['a name that its certificate does not bear', /127\.0\.0\.2.*cert/, () => tlsEnv('DATABASE', own), 'another name'],
    ['no certificate of ours', /certificate/, () => tlsEnv('DATABASE', { ca: files.ca })],
    ['plain text', /no encryption/, () => ({})],
  ])('C-089 does not start, and says why: %s', async (_, words, env, name) => {
    expect(await refusal({ database: name ? at(other.host) : database, env: env() })).toMatch(words)
  })

  it('a certificate that is not to be trusted is told with the name of the server, at once', async () => {
    const asked = databaseAnswers(database.urls.app, {
      ssl: readPems({ ...own, ca: files.otherCa }),
      signal: AbortSignal.timeout(10_000),
      log: () => {},
    })
    await expect(asked).rejects.toThrow(/^PostgreSQL on 127\.0\.0\.1:\d+: .*certificate/)
  })
})

const password = 'a password of this test'
const login = { username: 'events', password }
const sasl = (mechanism: string, given = password): Env => ({
  KAFKA_SASL_MECHANISM: mechanism,
  KAFKA_SASL_USERNAME: login.username,
  KAFKA_SASL_PASSWORD: given,
})

describe.skipIf(!made)('Kafka over TLS and with a login', () => {
  let broker: KafkaBroker | undefined
  let other: Awaited<ReturnType<typeof underAnotherName>>
  beforeAll(async () => {
    const { ca, cert, key } = files
    broker = await startKafka({ secure: { ca, cert, key, ...login } }).catch((err) => {
      if (!(err instanceof ServiceMissing)) throw err
      return undefined
    })
    other = await underAnotherName(Number(broker?.secured?.SASL_SSL.split(':')[1] ?? 1))
  }, 90_000)
  afterAll(async () => {
    other?.server.close()
    await broker?.stop()
  })
  afterEach(stopAll)

  const begin = async (brokers: string, env: Env) => {
    const solo = await open({
      env: { KAFKA_BROKERS: brokers, KAFKA_TOPIC_PREFIX: `tls-${randomUUID().slice(0, 8)}.`, KAFKA_PARTITIONS: '1', ...env },
    })
    await solo.clients.tenants.createTenant({ displayName: 'Over TLS', slug: 'over-tls', ownerEmail: 'owner@acme.example' })
    return solo
  }
  /** Records of the domain topic; over the plain listener. */
  const arrived = async (solo: Solo) => {
    const admin = new Kafka({ brokers: [broker!.brokers], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
    try {
      await admin.connect()
      const offsets = await admin.fetchTopicOffsets(`${solo.settings.kafka.topicPrefix}customer-management.domain.v1`)
      return offsets.reduce((sum, { high }) => sum + Number(high), 0)
    } finally {
      await admin.disconnect()
    }
  }

  it.each<['SSL' | 'SASL_SSL' | 'SASL_PLAINTEXT', string, () => Env]>([
    ['SSL', 'a certificate of ours', () => tlsEnv('KAFKA', own)],
    ['SASL_SSL', 'SCRAM-SHA-512', () => ({ ...tlsEnv('KAFKA', { ca: files.ca }), ...sasl('scram-sha-512') })],
    ['SASL_SSL', 'PLAIN', () => ({ ...tlsEnv('KAFKA', { ca: files.ca }), ...sasl('plain') })],
    ['SASL_PLAINTEXT', 'SCRAM-SHA-512', () => sasl('scram-sha-512')],
  ])('events arrive: %s with %s', async (protocol, _, env) => {
    if (!broker) return
    const solo = await begin(broker.secured![protocol], env())
    await until(() => arrived(solo), { timeoutMs: 15_000 })
    expect(JSON.stringify(solo.lines)).not.toContain(password)
  })

  it.each<['SSL' | 'SASL_SSL' | 'SASL_PLAINTEXT' | 'another name' | 'plain text', string, RegExp, () => Env]>([
    ['SSL', 'an authority that did not sign its certificate', /certificate/, () => tlsEnv('KAFKA', { ...own, ca: files.otherCa })],
    ['SSL', "Node's own authorities", /certificate/, () => tlsEnv('KAFKA', { cert: files.cert, key: files.key })],
    ['SSL', 'no certificate of ours', /certificate/, () => tlsEnv('KAFKA', { ca: files.ca })],
    ['SSL', 'plain text', /closed connection/i, () => ({})],
    ['plain text', 'TLS', /before secure TLS connection/, () => tlsEnv('KAFKA', own)],
    ['another name', 'a certificate without it', /127\.0\.0\.2/, () => ({ ...tlsEnv('KAFKA', { ca: files.ca }), ...sasl('plain') })],
    [
      'SASL_SSL',
      'a wrong password',
      /authentication/i,
      () => ({ ...tlsEnv('KAFKA', { ca: files.ca }), ...sasl('scram-sha-512', 'wrong secret of this test') }),
    ],
    ['SASL_PLAINTEXT', 'a wrong password', /authentication/i, () => sasl('plain', 'wrong secret of this test')],
    ['SASL_PLAINTEXT', 'no login', /closed connection/i, () => ({})],
  ])('C-089 %s with %s: calls are served, events wait, and the log says why, without the password', async (protocol, _, words, env) => {
    if (!broker) return
    const brokers = protocol === 'another name' ? other.host : protocol === 'plain text' ? broker.brokers : broker.secured![protocol]
    const solo = await begin(brokers, env())
    await until(() => solo.lines.some(({ msg }) => msg === 'events could not be sent; they wait'), { timeoutMs: 30_000 })
    const said = JSON.stringify(solo.lines.filter(({ level }) => level !== 'info').map(({ err }) => (err as Error | undefined)?.message))
    expect(said).toMatch(words)
    expect(JSON.stringify(solo.lines)).not.toContain('of this test')
    expect(await arrived(solo).catch(() => 0)).toBe(0)
    const { rows } = await solo.superuser.query('select coalesce(max(sent), 0) as sent from platform.relay_positions')
    expect(Number(rows[0].sent)).toBe(0)
  })
})
