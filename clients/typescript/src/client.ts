import { type ChannelCredentials, credentials } from '@grpc/grpc-js'
import { bindServices, type Services } from './services.js'
import { checkedTimeoutMs, Transport } from './transport.js'

/** PEM files' contents. */
export interface TlsOptions {
  /** Whom to trust; unset: Node's own list. */
  readonly ca?: string | Uint8Array | undefined
  /** The client's key and certificate, where the server asks for one: both or neither. */
  readonly key?: string | Uint8Array | undefined
  readonly cert?: string | Uint8Array | undefined
}

export interface ClientOptions {
  /** `host:port`, or another target of gRPC (`dns:///host:port`, `unix:/path`). */
  readonly address: string
  /** `ck_…`; sent with every call, and shown nowhere. */
  readonly apiKey: string
  /** `true`, or certificates of your own. TLS is the default, but for loopback (localhost, 127.0.0.0/8, ::1, unix). */
  readonly tls?: true | TlsOptions | undefined
  /** No TLS though the address is not loopback: the key then crosses the network in the clear. */
  readonly insecure?: boolean | undefined
  /** For a call with all its retries, 10 s by default. The service stops a call after 30 s. */
  readonly timeoutMs?: number | undefined
}

export interface CustomerManagementClient extends Services {
  /**
   * Ends the watches and the waits for another attempt (CANCELLED), refuses new calls, lets running attempts finish and drops the connection.
   */
  close(): void
}

/** Connects with the first call. Throws a TypeError for options that cannot work. */
export function createClient(options: ClientOptions): CustomerManagementClient {
  const { address, apiKey, timeoutMs = 10_000 } = options
  if (typeof address !== 'string' || address === '' || /^https?:/.test(address)) {
    throw new TypeError(`address must be host:port, without http:// or https://, not ${JSON.stringify(address)}`)
  }
  // Checked here because grpc-js names the value in its own error.
  if (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new TypeError('apiKey must be a key, ck_… (it is empty, or holds white space or signs that no key has)')
  }
  const loopback = isLoopback(address)
  const transport = new Transport(address, channelCredentials(options, loopback), apiKey, checkedTimeoutMs(timeoutMs), loopback)
  return { ...bindServices(transport), close: () => transport.close() }
}

const isLoopback = (address: string) =>
  /^(unix:|(dns:(\/\/\/)?|ipv4:)?(localhost|127(\.\d{1,3}){3})(:\d+)?$|(dns:(\/\/\/)?|ipv6:)?\[::1\](:\d+)?$)/i.test(address)

function channelCredentials({ tls, insecure }: ClientOptions, loopback: boolean): ChannelCredentials {
  if (tls && insecure) throw new TypeError('tls and insecure exclude each other')
  if (insecure || (loopback && !tls)) return credentials.createInsecure()
  const { ca, key, cert } = tls === true || tls === undefined ? {} : tls
  if ((key === undefined) !== (cert === undefined)) throw new TypeError('tls.key and tls.cert go together')
  return credentials.createSsl(bytes(ca), bytes(key), bytes(cert))
}

const bytes = (pem: string | Uint8Array | undefined) => (pem === undefined ? null : Buffer.from(pem as Uint8Array))
