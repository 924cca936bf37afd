/** What a start has to say to the person who started it. */
export interface BannerFacts {
  readonly production: boolean
  /** One line each, for people: `PostgreSQL 15 from npm on …`. */
  readonly postgres: string
  readonly redis: string
  readonly kafka: string
  /** The hosts that both ports listen on. */
  readonly hosts: readonly string[]
  readonly grpcPort: number
  readonly grpcTls: boolean
  readonly httpPort: number
  /** The HTTP port serves REST. */
  readonly rest: boolean
  /** The first platform key, where it is known. In production it is never printed. */
  readonly bootstrapKey?: string | undefined
  /** A slug that is not taken yet, so that the first call works at every start. */
  readonly freeSlug: string
  /** `buf curl` finds the RPCs by it. */
  readonly reflection: boolean
  readonly startedInMs: number
}

/** Whole, with its line ends. */
export function banner(facts: BannerFacts): string {
  const { hosts, grpcPort, grpcTls, httpPort, production, bootstrapKey } = facts
  const everyHost = (port: number) => hosts.map((host) => authority(host, port)).join(' and ')
  const http = `http://${authority(reachable(hosts), httpPort)}`
  const lines = [
    'customer-management',
    `  PostgreSQL  ${facts.postgres}`,
    `  Redis       ${facts.redis}`,
    `  Kafka       ${facts.kafka}`,
    `  gRPC        ${everyHost(grpcPort)}${grpcTls ? ', TLS' : ''}`,
    `  HTTP        ${http}/healthz ${http}/readyz`,
    `  REST        ${facts.rest ? `${http}/v1` : 'none: GRPC_TLS_CLIENT_CA demands a certificate of whoever calls'}`,
  ]
  if (!production && bootstrapKey !== undefined) {
    lines.push('', 'The first platform key, for development:', `  export CUSTOMER_API_KEY=${bootstrapKey}`)
    if (facts.reflection) lines.push('', 'A first call:', ...firstCall(facts).map((line) => `  ${line}`))
    if (facts.rest) lines.push('', 'And by REST:', `  curl -H "authorization: Bearer $CUSTOMER_API_KEY" ${http}/v1/tenants`)
  }
  lines.push('', `ready in ${(facts.startedInMs / 1000).toFixed(1)} s`)
  return `${lines.join('\n')}\n`
}

function firstCall({ hosts, grpcPort, grpcTls, freeSlug }: BannerFacts): string[] {
  const scheme = grpcTls ? 'https' : 'http'
  const body = JSON.stringify({ slug: freeSlug, displayName: 'Acme Ltd', ownerEmail: 'owner@acme.example' })
  return [
    `npx buf curl --protocol grpc ${grpcTls ? '--cacert "$GRPC_TLS_CERT"' : '--http2-prior-knowledge'} \\`,
    `  -H "authorization: Bearer $CUSTOMER_API_KEY" -d '${body}' \\`,
    `  ${scheme}://${authority(reachable(hosts), grpcPort)}/customer.tenant.v1.TenantService/CreateTenant`,
  ]
}

/** Where this machine reaches itself. */
function reachable(hosts: readonly string[]): string {
  if (hosts.some((host) => ['0.0.0.0', '::', '127.0.0.1'].includes(host))) return '127.0.0.1'
  return hosts[0] ?? '127.0.0.1'
}

const authority = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
