import * as forms from './config-forms.js'
import { type Command, type Default, looksChosen, oneOf, open, type Row, row, tlsRows, urlOf, whole } from './config-forms.js'
import type { PemFiles } from './keys/pem-files.js'
import { weaknessOfKey } from './keys/ring.js'

export type Config = ReturnType<typeof shape>

/** Every mistake of a configuration, in one message. Values are never shown, secret or not. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly mistakes: readonly string[]
  constructor(mistakes: readonly string[]) {
    super(
      `the configuration has ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}:\n${mistakes.map((each) => `  ${each}`).join('\n')}`,
    )
    this.mistakes = mistakes
  }
}

/** One row a variable. */
export const rows = {
  NODE_ENV: row(
    oneOf('development', 'test', 'production'),
    'development',
    'In production nothing is made up: what must be known is demanded, and placeholders are refused.',
    { begins: 'Process' },
  ),
  DATA_DIR: row(forms.path, '.data', 'Where development keeps its database and its keys. Production writes nothing.'),
  LOG_LEVEL: row(oneOf('info', 'warn', 'error'), 'info', 'The least that is logged.'),
  HOST: row(forms.address, { development: '127.0.0.1,::1', production: '::' }, 'Where both ports listen.', { begins: 'Ports' }),
  GRPC_PORT: row(whole('a port', 0, 65_535), '50051', 'gRPC. 0 takes a free one.'),
  HTTP_PORT: row(whole('a port', 0, 65_535), '8080', '`/healthz` and `/readyz`; in development REST too. 0 takes a free one.'),
  GRPC_TLS: open(
    oneOf('disable', 'require'),
    'TLS on the gRPC port. Unset: `require` in production, else where a certificate is named. `disable` in production is for a mesh that does it.',
  ),
  GRPC_TLS_CERT: open(forms.pem, "The server's certificate, with its chain."),
  GRPC_TLS_KEY: open(forms.pem, 'The key of that.'),
  GRPC_TLS_CLIENT_CA: open(forms.pem, 'Who signs the certificates of callers. Set: a caller without one is refused.'),
  GATEWAY_SECRET: open(
    forms.matching('32–200 of `[A-Za-z0-9_.-]`', /^[\w.-]{32,200}$/),
    'What Kong sends in `x-gateway-secret`. A call that has it comes from the address in its `x-real-ip`, and gets error details as JSON.',
    { demandedBy: ['kong render'], secret: true },
  ),
  GATEWAY_CLIENT_SAN: open(
    forms.matching('a DNS or URI name', /^[\x21-\x7e]{1,255}$/),
    "The same, shown by a name in the client certificate of Kong's; GRPC_TLS_CLIENT_CA is needed too.",
  ),
  REFLECTION: row(forms.onOff, { development: 'on', production: 'off' }, 'grpc.reflection.v1.'),
  DRAIN_PAUSE_MS: row(
    whole('milliseconds', 0, 15_000),
    { development: '0', production: '5000' },
    'From NOT_SERVING to GOAWAY: the time that load balancers take to notice.',
  ),

  DATABASE_URL: open(forms.postgresUrl, 'The login `app`. Unset in development: a PostgreSQL of our own, below DATA_DIR.', {
    begins: 'PostgreSQL 15',
    demandedBy: ['serve', 'migrate', 'recover-platform-key'],
    secret: true,
  }),
  MIGRATOR_DATABASE_URL: open(
    forms.postgresUrl,
    'The login that `migrate` uses, never through a pooler. In development `serve` migrates by itself where this is set; in production a serving process must not hold it.',
    { demandedBy: ['migrate'], secret: true },
  ),
  RELAY_DATABASE_URL: open(forms.postgresUrl, 'The login of the relay.', { demandedBy: ['serve', 'migrate'], secret: true }),
  RETENTION_DATABASE_URL: open(forms.postgresUrl, 'The login of retention.', { demandedBy: ['serve', 'migrate'], secret: true }),
  DATABASE_POOLER: row(oneOf('none', 'transaction'), 'none', '`transaction` behind PgBouncer and the like: statements then have no names.'),
  DATABASE_POOL_MAX: row(whole('connections', 2, 200), '16', 'Of the login `app`, in this process.'),
  ...tlsRows('DATABASE', 'PostgreSQL', 'where one of the files below is named'),

  REDIS_URL: open(forms.redisUrl, 'Unset in development: kept in memory.', { begins: 'Redis', demandedBy: ['serve'], secret: true }),
  REDIS_PREFIX: row(
    forms.matching('at most 64 of `[a-zA-Z0-9._:-]`', /^[\w.:-]{0,64}$/),
    'customer-management:',
    'Begins all keys and channels.',
  ),
  ...tlsRows('REDIS', 'Redis', 'where REDIS_URL begins with `rediss:`'),

  KAFKA_BROKERS: open(forms.broker, 'Unset in development: the relay rests, and events are read by RPC.', {
    begins: 'Kafka',
    demandedBy: ['serve'],
  }),
  KAFKA_TOPIC_PREFIX: row(forms.matching('at most 64 of `[a-zA-Z0-9._-]`', /^[\w.-]{0,64}$/), '', 'Begins all topic names.'),
  KAFKA_PARTITIONS: row(whole('partitions', 1, 1_000), '12', 'Of the topics that development makes.'),
  ...tlsRows('KAFKA', 'Kafka', 'where one of the files below is named'),
  KAFKA_SASL_MECHANISM: open(oneOf('plain', 'scram-sha-256', 'scram-sha-512'), 'Set: the two below are needed too.'),
  KAFKA_SASL_USERNAME: open(forms.matching('1–200 characters', /^.{1,200}$/), 'Who we are there.'),
  KAFKA_SASL_PASSWORD: open(forms.matching('1–1000 characters', /^.{1,1000}$/), 'And its password.', { secret: true }),

  KEY_ENCRYPTION_KEYS: open(
    forms.ringKeys,
    'The first one seals, all of them open; to rotate, put another in front. `openssl rand -base64 32` makes one. Unset in development: made, and kept below DATA_DIR.',
    { begins: 'Keys', demandedBy: ['serve'] },
  ),
  BOOTSTRAP_API_KEY: open(
    forms.matching('`ck_` and more of `[a-z0-9_]`, 32–160 characters in all', /^ck_[a-z0-9_]{29,157}$/),
    'The first platform key; it counts once, on an empty database. Unset in development: made, and kept below DATA_DIR.',
    { demandedBy: ['serve'], secret: true },
  ),

  PLANS: row(forms.names, 'standard', 'What the `plan` of a tenant may be; the first where none is asked for.', { begins: 'Tenants' }),
  REGIONS: row(forms.names, 'default', 'What the `region` of a tenant may be; the first where none is asked for.'),
  TENANT_PURGE_AFTER_DAYS: row(
    whole('days', 0, 3_650),
    '30',
    'From DeleteTenant to the purge that happens by itself; in production at least 1.',
  ),
  TENANT_PURGE_WAIT_HOURS: row(
    whole('hours', 0, 8_760),
    '72',
    'From DeleteTenant to the first PurgeTenant that is heard; in production at least 1.',
  ),
  RATE_LIMITS_KEY: row(
    forms.ratesPerMinute,
    'read=6000,list=1200,write=1200,onboard=120,stream=60',
    'Calls with one API key, over all replicas; then RESOURCE_EXHAUSTED RATE_LIMITED until the minute is over.',
    { begins: 'Limits' },
  ),
  RATE_LIMITS_PRINCIPAL: row(
    forms.ratesPerMinute,
    'read=12000,list=2400,write=2400,onboard=240,stream=120',
    'Of one principal, with all its keys.',
  ),
  RATE_LIMITS_ADDRESS: row(
    forms.ratesPerMinute,
    'read=24000,list=4800,write=4800,onboard=480,stream=240',
    'From one address (IPv6: from one /64), whoever calls from there.',
  ),
  AUTH_FAILURES_PER_MINUTE: row(
    whole('failures', 1, 100_000),
    '50',
    'So many failed authentications a minute from one address (IPv6: from one /64), then RESOURCE_EXHAUSTED for the rest of the minute, also for callers there whose key is good: it is not looked at. Those who share an address (a NAT, a proxy) share that.',
  ),
}

type Name = keyof typeof rows
type Values = { [N in Name]: (typeof rows)[N] extends Row<infer T> ? T : never }
const entries = Object.entries(rows) as [Name, Row<unknown>][]

/**
 * Reads the whole environment. An empty variable counts as unset, and white space around a value as nothing.
 * @throws ConfigError with every mistake
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>, command: Command = 'serve'): Config {
  const mistakes: string[] = []
  const given = (name: Name) => env[name]?.trim() || undefined
  const production = given('NODE_ENV') === 'production'
  const values: Record<string, unknown> = {}
  for (const [name, { form, otherwise, demandedBy, secret }] of entries) {
    const [says, parse] = form
    const text = given(name) ?? defaultIn(otherwise, production)
    if (text === undefined) {
      const who = always(command) ? `\`${command}\`` : 'production'
      if ((production || always(command)) && demandedBy?.includes(command))
        mistakes.push(`${name} is not set, and ${who} demands it: ${says}`)
      continue
    }
    const parsed = parse.safeParse(text)
    if (!parsed.success) mistakes.push(`${name} must be ${says}`)
    else values[name] = parsed.data
    if (parsed.success && production && secret && isChosen(text))
      mistakes.push(`${name} is, or has as its password, a placeholder or what a person made up: draw it at random`)
  }
  mistakes.push(...mistakesBetween(values as Partial<Values>, (name) => given(name) !== undefined, production, command))
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return shape(values as Values)
}

/** The process's own environment. */
export const readConfig = (command: Command): Config => parseConfig(process.env, command)

/** Development makes nothing up for these. */
export const always = (command: Command) => command === 'migrate' || command === 'kong render'

const defaultIn = (otherwise: Default | undefined, production: boolean) =>
  typeof otherwise === 'object' ? otherwise[production ? 'production' : 'development'] : otherwise

/** Of a URL its password counts; one without logs in by certificate. A password that repeats the login is no password. */
function isChosen(text: string): boolean {
  const url = urlOf(text)
  if (!url) return looksChosen(text)
  const password = decodeURIComponent(url.password)
  return password !== '' && (looksChosen(password) || password === decodeURIComponent(url.username))
}

/** What one variable demands of another. `has` goes by what was given, since a value that is wrong by itself is told of once. */
function* mistakesBetween(v: Partial<Values>, has: (name: Name) => boolean, production: boolean, command: Command): Iterable<string> {
  const torn = (names: readonly Name[]) => names.some(has) && !names.every(has)
  if (v.GRPC_PORT !== undefined && v.GRPC_PORT !== 0 && v.GRPC_PORT === v.HTTP_PORT) yield 'GRPC_PORT and HTTP_PORT must differ'
  for (const prefix of ['DATABASE', 'REDIS', 'KAFKA', 'GRPC'] as const) {
    const [cert, key] = [`${prefix}_TLS_CERT`, `${prefix}_TLS_KEY`] as const
    const ca = prefix === 'GRPC' ? 'GRPC_TLS_CLIENT_CA' : (`${prefix}_TLS_CA` as const)
    if (torn([cert, key])) yield `${cert} and ${key} belong together`
    if (v[`${prefix}_TLS`] === 'disable' && ([ca, cert, key] as const).some(has))
      yield `${prefix}_TLS is \`disable\`, and yet a file for it is named`
  }
  const tls = v.GRPC_TLS === 'require' || (v.GRPC_TLS === undefined && (production || has('GRPC_TLS_CLIENT_CA')))
  if (command === 'serve' && tls && !has('GRPC_TLS_CERT') && !has('GRPC_TLS_KEY'))
    yield 'GRPC_TLS_CERT and GRPC_TLS_KEY are not set, and GRPC_TLS demands them'

  if (has('GATEWAY_CLIENT_SAN') && !has('GRPC_TLS_CLIENT_CA'))
    yield 'GATEWAY_CLIENT_SAN needs GRPC_TLS_CLIENT_CA: without it nobody shows a certificate'

  const scheme = urlOf(v.REDIS_URL)?.protocol
  const verified =
    v.REDIS_TLS === 'verify-full' || (v.REDIS_TLS === undefined && production) || has('REDIS_TLS_CA') || has('REDIS_TLS_CERT')
  if (scheme === 'redis:' && verified) yield 'REDIS_URL must begin with `rediss:`, or REDIS_TLS be `disable`'
  if (scheme === 'rediss:' && v.REDIS_TLS === 'disable') yield 'REDIS_URL begins with `rediss:`, and REDIS_TLS is `disable`'
  if (torn(sasl)) yield `${sasl.join(', ')} belong together`

  if (!production && command === 'serve' && torn(serving)) yield `${serving.join(', ')} belong together`
  const logins = [...serving, 'MIGRATOR_DATABASE_URL' as const].flatMap((name) => urlOf(v[name])?.username ?? [])
  if (new Set(logins).size < logins.length)
    yield 'DATABASE_URL, MIGRATOR_, RELAY_ and RETENTION_DATABASE_URL must each have a login of its own'
  const pooler = v.DATABASE_POOLER === 'transaction' ? urlOf(v.DATABASE_URL)?.host : undefined
  if (pooler !== undefined && pooler === urlOf(v.MIGRATOR_DATABASE_URL)?.host)
    yield 'MIGRATOR_DATABASE_URL must not lead through the pooler, as DATABASE_URL does'

  if (!production) return
  if (command === 'serve' && has('MIGRATOR_DATABASE_URL'))
    yield 'MIGRATOR_DATABASE_URL must not be set where `serve` runs in production: its login can make roles'
  for (const name of ['TENANT_PURGE_AFTER_DAYS', 'TENANT_PURGE_WAIT_HOURS'] as const)
    if (v[name] === 0) yield `${name} must be at least 1 in production`
  for (const [index, key] of (v.KEY_ENCRYPTION_KEYS ?? []).entries()) {
    const weakness = weaknessOfKey(key)
    if (weakness) yield `KEY_ENCRYPTION_KEYS: key ${index + 1} ${weakness}; \`openssl rand -base64 32\` makes a good one`
  }
}

const serving = ['DATABASE_URL', 'RELAY_DATABASE_URL', 'RETENTION_DATABASE_URL'] as const
const sasl = ['KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const

/** The configuration as the rooms take it. `tls: undefined` is plain text; files that are not named leave Node's defaults. */
function shape(v: Values) {
  const production = v.NODE_ENV === 'production'
  const tls = (prefix: 'DATABASE' | 'REDIS' | 'KAFKA', otherwise: boolean): PemFiles | undefined => {
    const files: PemFiles = { ca: v[`${prefix}_TLS_CA`], cert: v[`${prefix}_TLS_CERT`], key: v[`${prefix}_TLS_KEY`] }
    const on = v[`${prefix}_TLS`] ? v[`${prefix}_TLS`] === 'verify-full' : otherwise || (files.ca ?? files.cert) !== undefined
    return on ? files : undefined
  }
  return {
    environment: v.NODE_ENV,
    production,
    dataDir: v.DATA_DIR,
    logLevel: v.LOG_LEVEL,
    hosts: v.HOST,
    grpcPort: v.GRPC_PORT,
    httpPort: v.HTTP_PORT,
    /** The server's certificate and key; `ca`: who signs the callers', which are then demanded. */
    grpcTls:
      v.GRPC_TLS_CERT === undefined
        ? undefined
        : ({ cert: v.GRPC_TLS_CERT, key: v.GRPC_TLS_KEY, ca: v.GRPC_TLS_CLIENT_CA } satisfies PemFiles),
    gateways: { secrets: v.GATEWAY_SECRET === undefined ? [] : [v.GATEWAY_SECRET], clientSan: v.GATEWAY_CLIENT_SAN },
    reflection: v.REFLECTION,
    drainPauseMs: v.DRAIN_PAUSE_MS,
    database: {
      url: v.DATABASE_URL,
      migratorUrl: v.MIGRATOR_DATABASE_URL,
      relayUrl: v.RELAY_DATABASE_URL,
      retentionUrl: v.RETENTION_DATABASE_URL,
      pooler: v.DATABASE_POOLER,
      poolMax: v.DATABASE_POOL_MAX,
      tls: tls('DATABASE', production),
    },
    redis: { url: v.REDIS_URL, prefix: v.REDIS_PREFIX, tls: tls('REDIS', urlOf(v.REDIS_URL)?.protocol === 'rediss:') },
    kafka: {
      brokers: v.KAFKA_BROKERS,
      topicPrefix: v.KAFKA_TOPIC_PREFIX,
      partitions: v.KAFKA_PARTITIONS,
      tls: tls('KAFKA', production),
      sasl:
        v.KAFKA_SASL_MECHANISM && v.KAFKA_SASL_USERNAME && v.KAFKA_SASL_PASSWORD
          ? { mechanism: v.KAFKA_SASL_MECHANISM, username: v.KAFKA_SASL_USERNAME, password: v.KAFKA_SASL_PASSWORD }
          : undefined,
    },
    /** undefined: development makes them below DATA_DIR. */
    keyEncryptionKeys: v.KEY_ENCRYPTION_KEYS,
    bootstrapApiKey: v.BOOTSTRAP_API_KEY,
    plans: v.PLANS,
    regions: v.REGIONS,
    tenantPurgeAfterDays: v.TENANT_PURGE_AFTER_DAYS,
    tenantPurgeWaitHours: v.TENANT_PURGE_WAIT_HOURS,
    rateLimits: { key: v.RATE_LIMITS_KEY, principal: v.RATE_LIMITS_PRINCIPAL, address: v.RATE_LIMITS_ADDRESS },
    authFailuresPerMinute: v.AUTH_FAILURES_PER_MINUTE,
  }
}
