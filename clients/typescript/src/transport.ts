import { randomUUID } from 'node:crypto'
import { type ChannelCredentials, Client, type ClientReadableStream, Metadata } from '@grpc/grpc-js'
import { onAbort } from './abort.js'
import { CustomerManagementError, cancelled, toError } from './error.js'
import { attemptsMax, retryDelayMs, wait } from './retry.js'

/** What the generated service definitions say of an RPC, and how its request is made. */
export interface Method<Q, S> {
  readonly path: string
  readonly requestSerialize: (request: Q) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => S
  /** Makes the whole request of a partial one. */
  readonly create: (partial: unknown) => Q
  /** May be sent again when nobody knows whether the first was carried out. */
  readonly repeatable: boolean
}

/** Of one call. */
export interface CallOptions {
  /** Its abort ends the call with CANCELLED, and its reason as the error's `cause`. */
  readonly signal?: AbortSignal | undefined
  /** For the call with all its retries (a list: for each page); the client's `timeoutMs` where unset. */
  readonly timeoutMs?: number | undefined
  /** Sent along, e.g. `traceparent`, or an `x-request-id` of your own. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** Throws a TypeError if it is no positive number. */
export function checkedTimeoutMs(timeoutMs: number): number {
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) throw new TypeError(`timeoutMs must be a positive number of milliseconds, not ${timeoutMs}`)
  return timeoutMs
}

/** One channel and the credential that its calls carry; nothing of it shows when it is printed. */
export class Transport {
  readonly #client: Client
  readonly #credential = new Metadata()
  readonly #timeoutMs: number
  readonly #closing = new AbortController()

  constructor(address: string, credentials: ChannelCredentials, apiKey: string, timeoutMs: number, loopback: boolean) {
    this.#credential.set('authorization', `Bearer ${apiKey}`)
    this.#timeoutMs = timeoutMs
    this.#client = new Client(address, credentials, {
      // grpc-js obeys https_proxy even for loopback.
      ...(loopback ? { 'grpc.enable_http_proxy': 0 } : {}),
      // Retries are ours: DNS must not add a policy that repeats mutations.
      'grpc.service_config_disable_resolution': 1,
      // While a channel backs off, calls fail at once; the default, up to two minutes, would outlast any server's restart.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 5_000,
      // A peer that vanished without a word is found out within 40 s.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    })
  }

  /** Aborted by `close`. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  close(): void {
    this.#closing.abort()
    this.#client.close()
  }

  async unary<Q, S>(method: Method<Q, S>, partial: unknown, options: CallOptions = {}): Promise<S> {
    const { signal } = options
    const deadline = Date.now() + (options.timeoutMs === undefined ? this.#timeoutMs : checkedTimeoutMs(options.timeoutMs))
    const request = method.create(partial)
    const { metadata, requestId } = this.metadata(options)
    for (let attempt = 1; ; attempt++) {
      this.#refuseEnded(signal, requestId)
      try {
        return await this.#attempt(method, request, metadata, deadline, signal)
      } catch (failure) {
        const error = toError(failure, requestId)
        if (signal?.aborted && error instanceof CustomerManagementError && error.code === 'CANCELLED') this.#refuseEnded(signal, requestId)
        if (!method.repeatable || attempt === attemptsMax || !(error instanceof CustomerManagementError)) throw error
        const delayMs = retryDelayMs(error, attempt)
        if (delayMs === undefined || Date.now() + delayMs >= deadline) throw error
        await wait(delayMs, signal, this.closing)
      }
    }
  }

  /** Whoever takes the stream must cancel it on every path. */
  stream<Q, S>(method: Method<Q, S>, request: Q, metadata: Metadata): ClientReadableStream<S> {
    return this.#client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, request, metadata)
  }

  /** The metadata of one call, the same for all its attempts. */
  metadata(options: Pick<CallOptions, 'metadata'>): { metadata: Metadata; requestId: string } {
    const metadata = this.#credential.clone()
    const requestId = randomUUID()
    metadata.set('x-request-id', requestId)
    if (!options.metadata) return { metadata, requestId }
    for (const [key, value] of Object.entries(options.metadata)) metadata.set(key, value)
    return { metadata, requestId: String(metadata.get('x-request-id')[0]) }
  }

  #attempt<Q, S>(method: Method<Q, S>, request: Q, metadata: Metadata, deadline: number, signal: AbortSignal | undefined): Promise<S> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        { deadline },
        (error, response) => {
          stop?.()
          if (error) reject(error)
          else resolve(response as S)
        },
      )
      const stop = signal && onAbort([signal], () => call.cancel())
    })
  }

  #refuseEnded(signal: AbortSignal | undefined, requestId: string): void {
    if (signal?.aborted) throw cancelled('aborted by the caller', requestId, signal.reason)
    if (this.closing.aborted) throw cancelled('the client is closed', requestId)
  }
}
