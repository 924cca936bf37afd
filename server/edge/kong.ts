import type { DescMethod, DescService } from '@bufbuild/protobuf'
import { z } from 'zod'
import { routesOf } from '../contract/routes.js'

const port = z.int().min(1).max(65_535)
const host = z.string().regex(/^[\w.:-]{1,255}$/)

/** What differs from one Kong to another: deploy/kong/values.yaml, where each is explained. */
export const kongValues = z.strictObject({
  service: z.strictObject({ host, port, tls: z.boolean() }),
  redis: z.strictObject({ host, port }),
  /** Where Kong finds the folder of deploy/kong/proto. */
  proto_dir: z.string().regex(/^\/[\w./-]{0,255}$/),
  /** Browsers' pages that may call; `*` for any. */
  origins: z.array(z.string().min(1).max(255)).min(1).max(64),
  /** Requests that one address may make in a minute, whoever calls from there. */
  requests_per_minute: z.int().min(1).max(1_000_000),
  datadog: z.strictObject({ host, port }).optional(),
})
export type KongValues = z.infer<typeof kongValues>

export interface KongInputs {
  readonly values: KongValues
  readonly services: readonly DescService[]
  readonly isPublic: (method: DescMethod) => boolean
  /** Shows the service that a call comes through this Kong. */
  readonly gatewaySecret: string
  /** deploy/kong/header-filter.lua and body-filter.lua. */
  readonly filters: { readonly header: string; readonly body: string }
}

const authPath = /^\/v1\/auth[:/]/
const jwksPath = '/.well-known/jwks.json'
/** The service ends a call after 30 s at the most. */
const answerMs = 35_000

/**
 * Kong's declarative configuration: the routes for what needs no credential, for API keys (the service verifies them) and for all else (Kong
 * asks for an access token first), one plugin each. The order in which plugins run is Kong's own, by their priorities; they stand here in it.
 * @throws Error where a PUBLIC RPC would not be open, or another would be
 */
export function kongConfig({ values, services, isPublic, gatewaySecret, filters }: KongInputs): object {
  const routes = routesOf(services)
  const isOpen = (path: string) => authPath.test(path) || path === jwksPath
  const wrong = routes.filter((it) => isPublic(it.method) !== isOpen(it.path))
  if (wrong.length > 0) {
    const told = wrong.map((it) => `${it.method.name} (${it.path})`).join(', ')
    throw new Error(`open are the paths below /v1/auth and ${jwksPath}, to PUBLIC RPCs and no others: ${told}`)
  }
  const has = (test: (path: string) => boolean) => routes.some((it) => test(it.path))
  const route = (name: string, more: object) => ({ name, protocols: ['http', 'https'], strip_path: false, ...more })
  return {
    _format_version: '3.0',
    services: [
      {
        name: 'customer-management',
        protocol: values.service.tls ? 'grpcs' : 'grpc',
        host: values.service.host,
        port: values.service.port,
        retries: 0,
        connect_timeout: 2_000,
        read_timeout: answerMs,
        write_timeout: answerMs,
        routes: [
          ...(has((path) => authPath.test(path)) ? [route('customer-public', { paths: ['~/v1/auth[:/]'] })] : []),
          ...(has((path) => path === jwksPath) ? [route('customer-jwks', { paths: [jwksPath] })] : []),
          route('customer-keys', { paths: ['/v1/'], headers: { authorization: ['~*^bearer ck_'] } }),
          route('customer-tokens', { paths: ['/v1/'], plugins: [jwt] }),
        ],
        plugins: pluginsOf(values, gatewaySecret),
      },
    ],
    // one issuer is one consumer; its keys stand here once there are tokens to verify
    consumers: [{ username: 'customer-management' }],
    plugins: [{ name: 'post-function', config: { header_filter: [filters.header], body_filter: [filters.body] } }],
  }
}

/** Tokens in a URL or a cookie are none: Kong would check one, and the service see another. */
const jwt = {
  name: 'jwt',
  config: { uri_param_names: [], cookie_names: [], header_names: ['authorization'], key_claim_name: 'kid', claims_to_verify: ['exp'] },
}

const rateLimitHeaders = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'Retry-After']

function pluginsOf({ redis, proto_dir, origins, requests_per_minute, datadog }: KongValues, gatewaySecret: string): object[] {
  return [
    { name: 'correlation-id', config: { header_name: 'x-request-id', generator: 'uuid', echo_downstream: true } },
    {
      name: 'cors',
      config: {
        origins,
        methods: ['GET', 'POST', 'PATCH', 'DELETE', 'OPTIONS'],
        headers: ['authorization', 'content-type', 'x-request-id', 'traceparent', 'tracestate'],
        exposed_headers: ['x-request-id', ...rateLimitHeaders],
        credentials: false,
        max_age: 600,
      },
    },
    { name: 'grpc-gateway', config: { proto: `${proto_dir}/kong.proto` } },
    {
      name: 'rate-limiting',
      config: {
        minute: requests_per_minute,
        limit_by: 'ip',
        policy: 'redis',
        redis: { host: redis.host, port: redis.port },
        fault_tolerant: true,
      },
    },
    {
      name: 'request-transformer',
      // the caller's own go first
      config: {
        remove: { headers: ['x-gateway-secret', 'x-via-gateway'] },
        add: { headers: [`x-gateway-secret:${gatewaySecret}`] },
      },
    },
    ...(datadog ? [{ name: 'datadog', config: { host: datadog.host, port: datadog.port, prefix: 'kong.customer' } }] : []),
  ]
}
