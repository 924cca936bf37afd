import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, parseConfig } from '../server/config.js'
import { configurationPage } from '../server/config-page.js'

const random = 'q7Zt3vK9mXw2RbN8'
const goodKey = 'vJ2Yk0i3b7cQm1pXz8R5tWnE4uLhGsDf6aKoPqCyBxM='
const goodSecret = 'ck_9fj2k0x8v7q3m5n1b6z4w0t8r2y7p5h3g1d9'
const production = {
  NODE_ENV: 'production',
  DATABASE_URL: `postgres://app:${random}@db:5432/customers`,
  RELAY_DATABASE_URL: `postgres://relay:${random}@db:5432/customers`,
  RETENTION_DATABASE_URL: `postgres://retention:${random}@db:5432/customers`,
  REDIS_URL: `rediss://:${random}@redis:6379/0`,
  KAFKA_BROKERS: 'kafka-1:9092,kafka-2:9092',
  GRPC_TLS_CERT: '/tls/tls.crt',
  GRPC_TLS_KEY: '/tls/tls.key',
  KEY_ENCRYPTION_KEYS: goodKey,
  BOOTSTRAP_API_KEY: goodSecret,
}
type Env = Record<string, string | undefined>

function mistakesOf(env: Env, command?: Parameters<typeof parseConfig>[1]): readonly string[] {
  try {
    parseConfig(env, command)
    return []
  } catch (err) {
    if (err instanceof ConfigError) return err.mistakes
    throw err
  }
}

describe('development', () => {
  it('needs nothing', () => {
    expect(parseConfig({})).toMatchObject({
      production: false,
      dataDir: '.data',
      hosts: ['127.0.0.1', '::1'],
      grpcPort: 50051,
      httpPort: 8080,
      grpcTls: undefined,
      reflection: true,
      drainPauseMs: 0,
      database: { url: undefined, pooler: 'none', tls: undefined },
      redis: { url: undefined, prefix: 'customer-management:', tls: undefined },
      kafka: { brokers: undefined, partitions: 12, topicPrefix: '', tls: undefined, sasl: undefined },
      keyEncryptionKeys: undefined,
      bootstrapApiKey: undefined,
      plans: ['standard'],
      regions: ['default'],
      tenantPurgeAfterDays: 30,
      tenantPurgeWaitHours: 72,
      authFailuresPerMinute: 50,
    })
  })

  it('takes an empty variable for an unset one, and trims', () => {
    expect(parseConfig({ GRPC_PORT: '', HTTP_PORT: ' 8081\n', PLANS: 'basic, gold' })).toMatchObject({
      grpcPort: 50051,
      httpPort: 8081,
      plans: ['basic', 'gold'],
    })
  })

  it('names every mistake in one message', () => {
    const env = { NODE_ENV: 'prod', GRPC_PORT: '70000', HOST: 'localhost', KAFKA_PARTITIONS: 'many', LOG_LEVEL: 'loud', REFLECTION: 'yes' }
    expect(() => parseConfig(env)).toThrow(ConfigError)
    const mistakes = mistakesOf(env)
    expect(mistakes).toHaveLength(6)
    for (const [index, name] of ['NODE_ENV', 'LOG_LEVEL', 'HOST', 'GRPC_PORT', 'REFLECTION', 'KAFKA_PARTITIONS'].entries()) {
      expect(mistakes[index]).toMatch(new RegExp(`^${name} must be `))
    }
    expect(new ConfigError(mistakes).message.split('\n')).toHaveLength(7)
  })

  it.each<[string, Env]>([
    ['GRPC_PORT and HTTP_PORT', { GRPC_PORT: '8080' }],
    ['belong together', { DATABASE_URL: `postgres://app:x@db/c` }],
    [
      'a login of its own',
      { DATABASE_URL: 'postgres://a@db/c', RELAY_DATABASE_URL: 'postgres://a@db/c', RETENTION_DATABASE_URL: 'postgres://r@db/c' },
    ],
    ['KAFKA_SASL_MECHANISM', { KAFKA_SASL_USERNAME: 'me' }],
    ['GRPC_TLS_CERT and GRPC_TLS_KEY', { GRPC_TLS_CERT: '/x' }],
    ['GRPC_TLS_CERT and GRPC_TLS_KEY are not set', { GRPC_TLS_CLIENT_CA: '/x' }],
    ['KAFKA_TLS_CERT and KAFKA_TLS_KEY', { KAFKA_TLS_KEY: '/x' }],
    ['DATABASE_TLS is `disable`', { DATABASE_TLS: 'disable', DATABASE_TLS_CA: '/x' }],
    ['REDIS_URL must begin', { REDIS_URL: 'redis://r', REDIS_TLS: 'verify-full' }],
    ['REDIS_TLS is `disable`', { REDIS_URL: 'rediss://r', REDIS_TLS: 'disable' }],
    [
      'DATABASE_URL must be',
      { DATABASE_URL: 'postgres://app:%zz@db/c', RELAY_DATABASE_URL: 'postgres://b@db/c', RETENTION_DATABASE_URL: 'postgres://r@db/c' },
    ],
    ['KEY_ENCRYPTION_KEYS must be', { KEY_ENCRYPTION_KEYS: 'c2hvcnQ=' }],
    ['KEY_ENCRYPTION_KEYS must be', { KEY_ENCRYPTION_KEYS: `${goodKey},${goodKey}` }],
    ['BOOTSTRAP_API_KEY must be', { BOOTSTRAP_API_KEY: `ck_${'a'.repeat(28)}` }],
    ['BOOTSTRAP_API_KEY must be', { BOOTSTRAP_API_KEY: `ck_${'a'.repeat(158)}` }],
    ['PLANS must be', { PLANS: 'a,a' }],
    [
      'through the pooler',
      {
        DATABASE_POOLER: 'transaction',
        DATABASE_URL: 'postgres://a@db:6432/c',
        MIGRATOR_DATABASE_URL: 'postgres://m@db:6432/c',
        RELAY_DATABASE_URL: 'postgres://b@db/c',
        RETENTION_DATABASE_URL: 'postgres://r@db/c',
      },
    ],
  ])('one mistake: %s', (text, env) => {
    const mistakes = mistakesOf(env)
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]).toContain(text)
  })
})

describe('production', () => {
  it('starts with all that it demands, listens on ::, and reflects nothing', () => {
    expect(parseConfig(production)).toMatchObject({ production: true, hosts: ['::'], reflection: false, drainPauseMs: 5_000 })
  })

  it.each(Object.keys(production).filter((name) => !['NODE_ENV', 'GRPC_TLS_KEY'].includes(name)))(
    'C-042 does not serve without %s',
    (name) => {
      const mistakes = mistakesOf({ ...production, [name]: undefined })
      expect(mistakes.join()).toContain(name)
    },
  )

  it('names all that is missing at once', () => {
    expect(mistakesOf({ NODE_ENV: 'production' })).toHaveLength(8)
  })

  it.each<[string, Env]>([
    ['a placeholder for a key', { BOOTSTRAP_API_KEY: 'ck_changeme_9fj2k0x8v7q3m5n1b6z4w0t8' }],
    ['an example for a key', { BOOTSTRAP_API_KEY: 'ck_example_key_9fj2k0x8v7q3m5n1b6z4w0t8' }],
    ['"secret" for a key', { BOOTSTRAP_API_KEY: 'ck_my_secret_9fj2k0x8v7q3m5n1b6z4w0t8' }],
    ['one letter for a key', { BOOTSTRAP_API_KEY: `ck_${'a'.repeat(40)}` }],
    ['a repetition for a key', { BOOTSTRAP_API_KEY: `ck_${'9fj2k0x8'.repeat(5)}` }],
    ['a placeholder for a password', { DATABASE_URL: 'postgres://app:changeme@db/c' }],
    ['an encoded placeholder for a password', { DATABASE_URL: 'postgres://app:change%6De@db/c' }],
    ['the login for a password', { RELAY_DATABASE_URL: 'postgres://relay-9fj2k0x8v7:relay-9fj2k0x8v7@db/c' }],
    ['a placeholder for a password of Redis', { REDIS_URL: 'rediss://:password@redis' }],
    [
      'a variable that nobody filled in',
      { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'x', KAFKA_SASL_PASSWORD: `\${KAFKA_PASSWORD}` },
    ],
    ['zeros for a key encryption key', { KEY_ENCRYPTION_KEYS: Buffer.alloc(32).toString('base64') }],
    ['text for a key encryption key', { KEY_ENCRYPTION_KEYS: Buffer.from('the quick brown fox jumps over t').toString('base64') }],
    ['a count for a key encryption key', { KEY_ENCRYPTION_KEYS: Buffer.from([...Array(32).keys()]).toString('base64') }],
    ['a weak second key', { KEY_ENCRYPTION_KEYS: `${goodKey},old:${Buffer.alloc(32, 'ab').toString('base64')}` }],
    ['a purge without a wait', { TENANT_PURGE_AFTER_DAYS: '0' }],
    ['a purge by call without a wait', { TENANT_PURGE_WAIT_HOURS: '0' }],
    ['the login that can make roles', { MIGRATOR_DATABASE_URL: `postgres://migrator:${random}@db/c` }],
  ])('C-042 refuses %s', (_, env) => {
    expect(mistakesOf({ ...production, ...env, NODE_ENV: 'development' })).toEqual([])
    expect(mistakesOf({ ...production, ...env })).toHaveLength(1)
  })

  it('C-042 refuses every API key that a page of this repository shows', () => {
    const pages = ['README.md', 'CONTRIBUTING.md', ...textsBelow('docs'), ...textsBelow('deploy'), ...textsBelow('clients')].filter(
      (file) => existsSync(file),
    )
    const shown = pages.flatMap((page) => readFileSync(page, 'utf8').match(/\bck_[a-z0-9_]{29,157}\b/g) ?? [])
    for (const key of ['ck_example_not_a_real_key_000000000', ...shown])
      expect(mistakesOf({ ...production, BOOTSTRAP_API_KEY: key }), key).toHaveLength(1)
  })

  it('draws of randomness pass', () => {
    for (let i = 0; i < 500; i++) {
      const bytes = crypto.getRandomValues(new Uint8Array(32))
      const env = {
        ...production,
        BOOTSTRAP_API_KEY: `ck_${Buffer.from(bytes).toString('hex')}`,
        KEY_ENCRYPTION_KEYS: Buffer.from(bytes).toString('base64'),
      }
      expect(mistakesOf(env), Buffer.from(bytes).toString('hex')).toEqual([])
    }
  })

  it('C-089 speaks TLS to everything and to everyone, verified, unless told otherwise by name', () => {
    const config = parseConfig(production)
    expect([config.database.tls, config.redis.tls, config.kafka.tls].every((tls) => tls !== undefined)).toBe(true)
    expect(config.grpcTls).toEqual({ cert: '/tls/tls.crt', key: '/tls/tls.key', ca: undefined })
    expect(mistakesOf({ ...production, REDIS_URL: 'redis://redis' })).toHaveLength(1)
    expect(mistakesOf({ ...production, DATABASE_URL: `${production.DATABASE_URL}?sslmode=no-verify` })).toHaveLength(1)
    const plain = { DATABASE_TLS: 'disable', REDIS_TLS: 'disable', REDIS_URL: 'redis://redis', KAFKA_TLS: 'disable', GRPC_TLS: 'disable' }
    const told = parseConfig({ ...production, ...plain, GRPC_TLS_CERT: '', GRPC_TLS_KEY: '' })
    expect([told.database.tls, told.redis.tls, told.kafka.tls, told.grpcTls]).toEqual([undefined, undefined, undefined, undefined])
  })

  it('demands of `migrate` and `recover-platform-key` what they use, of `migrate` in development too', () => {
    const { DATABASE_URL, RELAY_DATABASE_URL, RETENTION_DATABASE_URL } = production
    const migrate = { NODE_ENV: 'production', DATABASE_URL, RELAY_DATABASE_URL, RETENTION_DATABASE_URL }
    expect(mistakesOf(migrate, 'migrate')).toEqual([expect.stringMatching(/^MIGRATOR_DATABASE_URL is not set/)])
    expect(mistakesOf({ ...migrate, MIGRATOR_DATABASE_URL: `postgres://migrator:${random}@db/c` }, 'migrate')).toEqual([])
    expect(mistakesOf({ NODE_ENV: 'production', DATABASE_URL }, 'recover-platform-key')).toEqual([])
    expect(mistakesOf({ DATABASE_URL, MIGRATOR_DATABASE_URL: `postgres://migrator:${random}@db/c` }, 'migrate')).toEqual([
      expect.stringMatching(/^RELAY_DATABASE_URL is not set, and `migrate` demands it/),
      expect.stringMatching(/^RETENTION_DATABASE_URL is not set, and `migrate` demands it/),
    ])
  })
})

it('C-085 no message shows a value', () => {
  const canary = 'canary4711'
  const secrets = Object.fromEntries(
    Object.keys({ ...production, KAFKA_SASL_PASSWORD: '', MIGRATOR_DATABASE_URL: '' }).map((name) => [name, canary]),
  )
  const bad = { ...secrets, GRPC_PORT: canary, HOST: canary, PLANS: `${canary},${canary}`, KEY_ENCRYPTION_KEYS: `${canary}:${canary}` }
  for (const env of [
    bad,
    { ...bad, NODE_ENV: 'production' },
    { ...production, KAFKA_SASL_PASSWORD: canary, DATABASE_URL: `postgres://app:${canary}@db:port/c` },
  ]) {
    const message = new ConfigError(mistakesOf(env)).message
    expect(message).not.toContain(canary)
    expect(message).not.toContain('no mistake')
  }
})

it('the page has a line for each variable', () => {
  const page = configurationPage()
  for (const name of [...Object.keys(production), 'DATABASE_TLS_CA', 'REDIS_TLS_KEY', 'KAFKA_TLS', 'TENANT_PURGE_AFTER_DAYS'])
    expect(page).toContain(`\n| \`${name}\` | `)
  expect(page).toContain('`127.0.0.1,::1`; in production `::`')
})

function textsBelow(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
}
