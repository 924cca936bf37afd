import { existsSync, readFileSync } from 'node:fs'
import type { DescMethod } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../server/config.js'
import { services } from '../../server/contract/descriptors.js'
import { routesOf } from '../../server/contract/routes.js'
import { kongConfig, kongValues } from '../../server/edge/kong.js'
import { renderKong } from '../../server/edge/kong-render.command.js'
import { fixtureServices } from '../support/edge-fixture.js'

const secret = 'of-the-gateway-0123456789abcdef-0123456789'
const values = readFileSync('deploy/kong/values.yaml', 'utf8')

/** The keys of Kong 3.9's that we write, and no others; what they mean is Kong's documentation. */
const texts = z.array(z.string().min(1))
const plugin = <N extends string, C extends z.ZodRawShape>(name: N, config: C) =>
  z.strictObject({ name: z.literal(name), config: z.strictObject(config) })
const jwt = plugin('jwt', {
  uri_param_names: z.tuple([]),
  cookie_names: z.tuple([]),
  header_names: z.tuple([z.literal('authorization')]),
  key_claim_name: z.literal('kid'),
  claims_to_verify: z.tuple([z.literal('exp')]),
})
const route = z.strictObject({
  name: z.string(),
  protocols: z.tuple([z.literal('http'), z.literal('https')]),
  strip_path: z.literal(false),
  paths: texts,
  headers: z.strictObject({ authorization: texts }).optional(),
  plugins: z.tuple([jwt]).optional(),
})
const ms = z.int().min(1).max(60_000)
const schema = z.strictObject({
  _format_version: z.literal('3.0'),
  services: z.tuple([
    z.strictObject({
      name: z.literal('customer-management'),
      protocol: z.enum(['grpc', 'grpcs']),
      host: z.string().min(1),
      port: z.int(),
      retries: z.literal(0),
      connect_timeout: ms,
      read_timeout: ms,
      write_timeout: ms,
      routes: z.array(route).min(2).max(4),
      plugins: z.tuple(
        [
          plugin('correlation-id', {
            header_name: z.literal('x-request-id'),
            generator: z.literal('uuid'),
            echo_downstream: z.literal(true),
          }),
          plugin('cors', {
            origins: texts.min(1),
            methods: texts,
            headers: texts,
            exposed_headers: texts,
            credentials: z.literal(false),
            max_age: z.int(),
          }),
          plugin('grpc-gateway', { proto: z.string().regex(/^\/.*\/kong\.proto$/) }),
          plugin('rate-limiting', {
            minute: z.int().min(1),
            limit_by: z.literal('ip'),
            policy: z.literal('redis'),
            redis: z.strictObject({ host: z.string(), port: z.int() }),
            fault_tolerant: z.literal(true),
          }),
          plugin('request-transformer', {
            remove: z.strictObject({ headers: texts }),
            add: z.strictObject({ headers: z.tuple([z.literal(`x-gateway-secret:${secret}`)]) }),
          }),
        ],
        plugin('datadog', { host: z.string(), port: z.int(), prefix: z.string() }),
      ),
    }),
  ]),
  consumers: z.tuple([z.strictObject({ username: z.string() })]),
  plugins: z.tuple([plugin('post-function', { header_filter: texts.length(1), body_filter: texts.length(1) })]),
})
type Kong = z.infer<typeof schema>

const rendered = (yaml = values): Kong => schema.parse(parse(renderKong(yaml, secret)))

/** Which route takes a request, as Kong chooses: the one with headers first, then by the length of the path. */
function routeOf(config: Kong, path: string, authorization?: string): string | undefined {
  const fits = (it: Kong['services'][0]['routes'][number]) => {
    const byPath = it.paths.some((each) => (each.startsWith('~') ? new RegExp(`^${each.slice(1)}`).test(path) : path.startsWith(each)))
    const wanted = it.headers?.authorization.map((each) => new RegExp(each.slice(2), 'i'))
    return byPath && (wanted === undefined || wanted.some((each) => authorization !== undefined && each.test(authorization)))
  }
  return config.services[0].routes.filter(fits).sort((a, b) => Number(b.headers !== undefined) - Number(a.headers !== undefined))[0]?.name
}

describe('kong render', () => {
  it('writes keys that Kong has, and the post-function as it lies there', () => {
    const { plugins } = rendered()
    expect(plugins[0].config.header_filter[0]).toBe(readFileSync('deploy/kong/header-filter.lua', 'utf8'))
    expect(plugins[0].config.body_filter[0]).toBe(readFileSync('deploy/kong/body-filter.lua', 'utf8'))
    expect(rendered(`${values}datadog:\n  host: agent\n  port: 8125\n`).services[0].plugins.at(-1)?.name).toBe('datadog')
    expect(rendered(values.replace('tls: false', 'tls: true')).services[0].protocol).toBe('grpcs')
  })

  it('the schema knows a wrong one', () => {
    const config = parse(renderKong(values, secret)) as { services: [{ retries: number; plugins: unknown[] }] }
    expect(schema.safeParse({ ...config, services: [{ ...config.services[0], retries: 5 }] }).success).toBe(false)
    expect(
      schema.safeParse({ ...config, services: [{ ...config.services[0], plugins: config.services[0].plugins.slice(1) }] }).success,
    ).toBe(false)
    expect(schema.safeParse({ ...config, service: [] }).success).toBe(false)
  })

  it.each([
    ['a port that is none', values.replace('50051', '500510'), 'service.port'],
    ['a key that is unknown', `${values}secret: x\n`, 'secret'],
    ['nothing', '', 'expected object'],
  ])('%s is told by its name', (_, yaml, told) => expect(() => renderKong(yaml, secret)).toThrow(told))

  it('keys go where the service verifies them, all else to the token’s check; a caller’s own gateway headers go', () => {
    const config = rendered()
    expect(routeOf(config, '/v1/tenants', 'Bearer ck_x')).toBe('customer-keys')
    expect(routeOf(config, '/v1/tenants', 'bearer ck_x')).toBe('customer-keys')
    for (const other of [undefined, 'Bearer eyJ', 'Basic ck_x', 'Bearer xck_'])
      expect(routeOf(config, '/v1/tenants', other)).toBe('customer-tokens')
    expect(routeOf(config, '/other')).toBeUndefined()
    expect(config.services[0].plugins[4].config.remove.headers).toEqual(['x-gateway-secret', 'x-via-gateway'])
  })
})

describe('the open routes, on the fixture', () => {
  const fixture = fixtureServices()
  const open = (names: readonly string[]) =>
    kongConfig({
      values: kongValues.parse(parse(values)),
      services: fixture,
      isPublic: (method: DescMethod) => names.includes(method.name),
      gatewaySecret: secret,
      filters: { header: 'h', body: 'b' },
    }) as Kong

  it('exactly the PUBLIC RPCs lie on them, whatever credential comes along', () => {
    const config = schema.parse(open(['SignIn', 'GetJwks']))
    for (const { path, method } of routesOf(fixture)) {
      const isOpen = ['SignIn', 'GetJwks'].includes(method.name)
      const name = routeOf(config, path.replaceAll(/\{[^}]*\}/g, 'x'))
      expect([path, name?.match(/public|jwks/) !== null]).toEqual([path, isOpen])
    }
    for (const path of ['/v1/authFoo', '/v1/authz:signIn']) expect(routeOf(config, path)).toBe('customer-tokens')
  })

  it('a PUBLIC RPC elsewhere, and another RPC below an open path, are refused', () => {
    expect(() => open(['SignIn', 'GetJwks', 'GetTenant'])).toThrow('GetTenant (/v1/tenants/{tenant_id})')
    expect(() => open(['GetJwks'])).toThrow('SignIn (/v1/auth:signIn)')
  })

  it('there are none while nothing is PUBLIC', () => {
    expect(services().flatMap((it) => it.methods).length).toBeGreaterThan(0)
    expect(rendered().services[0].routes.map((it) => it.name)).toEqual(['customer-keys', 'customer-tokens'])
  })
})

describe('compose.yaml', () => {
  const plain = readFileSync('deploy/compose.yaml', 'utf8').replaceAll(/\$\{[A-Z_]+:-([^}]*)\}/g, '$1')
  const compose = parse(plain) as {
    services: Record<string, { environment?: Record<string, string>; volumes?: string[]; depends_on?: object }>
  }

  it('starts a service whose configuration is right, and would not be in production', () => {
    const env = compose.services['service']!.environment!
    const config = parseConfig(env)
    expect(config.gateways.secrets).toEqual([compose.services['kong-config']!.environment!['GATEWAY_SECRET']])
    expect(() => parseConfig({ ...env, NODE_ENV: 'production' })).toThrow(ConfigError)
    for (const name of ['GATEWAY_SECRET', 'BOOTSTRAP_API_KEY', 'KEY_ENCRYPTION_KEYS']) {
      expect(() => parseConfig({ ...env, NODE_ENV: 'production' })).toThrow(name)
    }
  })

  it('names files and services that are there, and nginx settings that lose no body', () => {
    for (const { volumes = [], depends_on = {} } of Object.values(compose.services)) {
      for (const volume of volumes.filter((it) => it.startsWith('.')))
        expect(existsSync(`deploy/${volume.split(':')[0]}`), volume).toBe(true)
      expect(Object.keys(depends_on).filter((it) => !(it in compose.services))).toEqual([])
    }
    const kong = compose.services['kong']!.environment!
    const megabytes = (name: string) => Number(kong[`KONG_NGINX_HTTP_CLIENT_${name}`]!.replace('m', ''))
    expect(megabytes('BODY_BUFFER_SIZE')).toBeGreaterThan(megabytes('MAX_BODY_SIZE'))
    const { service, redis } = kongValues.parse(parse(values))
    expect([service.host, redis.host]).toEqual(['customer-management', 'redis'])
  })
})
