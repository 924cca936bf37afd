import { services } from '../contract/descriptors.js'
import { asyncApi, type TopicNames } from './asyncapi.js'
import { type HttpOptions, type HttpPort, openHttp } from './http.js'
import { openApi } from './openapi.js'
import { createRest } from './rest.js'
import { openUpstream } from './upstream.js'

export interface EdgeOptions extends Pick<HttpOptions, 'hosts' | 'port' | 'ready' | 'warn'> {
  /** Kong's work, where there is no Kong, and the documents of REST and events; unset: the port serves health alone. */
  readonly rest: RestPort | undefined
}

export interface RestPort {
  /** Where this process serves gRPC. */
  readonly grpcHost: string
  readonly grpcPort: number
  readonly tls: boolean
  readonly gatewaySecret: string
  readonly topics: TopicNames
  readonly version: string
}

/** The service may take 30 s. */
const answerMs = 35_000

/** Opens the HTTP port, with REST and the documents where they are asked for. */
export async function openEdge({ rest, ...options }: EdgeOptions): Promise<HttpPort> {
  if (!rest) return openHttp(options)
  const { grpcHost, grpcPort, tls, gatewaySecret, topics, version } = rest
  const upstream = openUpstream({ origin: `${tls ? 'https' : 'http'}://${reached(grpcHost)}:${grpcPort}`, readTimeoutMs: answerMs })
  let port = options.port
  const serverUrl = () => `http://127.0.0.1:${port}`
  const http = await openHttp({
    ...options,
    rest: createRest({ services: services(), upstream, gatewaySecret }),
    documents: new Map([
      ['/openapi.json', once(() => openApi(services(), { version, serverUrl: serverUrl() }))],
      ['/asyncapi.json', once(() => asyncApi(topics, version))],
    ]),
  })
  port = http.port
  return {
    ...http,
    async stop() {
      await http.stop()
      upstream.stop()
    },
  }
}

/** Made when it is first asked for: it takes 50 ms. */
function once(make: () => object): () => object {
  let made: object | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** A host that one listens on, as one calls it. */
function reached(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host.includes(':') ? `[${host === '::' ? '::1' : host}]` : host
}
