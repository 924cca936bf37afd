import type { DescMethod } from '@bufbuild/protobuf'
import { Client, credentials, Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js'
import { pathOf } from '../../server/contract/descriptors.js'
import { RpcError } from './client.js'

/** Names may come twice. */
export type Headers = readonly (readonly [string, string])[]

export interface RawCaller {
  /** Sends these bytes as the message. undefined: OK; of a stream: its first answer came, and it was cancelled then. */
  call(method: DescMethod | string, bytes: Uint8Array, headers: Headers, timeoutMs?: number): Promise<RpcError | undefined>
  /** What failed calls were told, details included, as text. */
  readonly said: ReadonlySet<string>
  close(): void
}

const asIs = (bytes: Buffer) => bytes

/** Calls RPCs with bytes that a generated client would never send. */
export function rawCaller(address: string): RawCaller {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.max_send_message_length': -1,
  })
  const said = new Set<string>()
  const failed = (err: ServiceError) => {
    const failure = new RpcError(err)
    // What the client itself gave up over is not the server's word.
    if (failure.trailers.get('x-request-id').length > 0) {
      said.add(`${err.details}\n${failure.trailers.get('grpc-status-details-bin').map((bytes) => (bytes as Buffer).toString('latin1'))}`)
    }
    return failure
  }
  return {
    said,
    close: () => client.close(),
    call: (method, bytes, headers, timeoutMs = 15_000) =>
      new Promise((resolve) => {
        const metadata = new Metadata()
        for (const [name, value] of headers) metadata.add(name, value)
        const options = { deadline: Date.now() + timeoutMs }
        const [path, streams] = typeof method === 'string' ? [method, false] : [pathOf(method), method.methodKind !== 'unary']
        const message = Buffer.from(bytes)
        if (!streams) {
          client.makeUnaryRequest(path, asIs, asIs, message, metadata, options, (err) => resolve(err ? failed(err) : undefined))
          return
        }
        const stream = client.makeServerStreamRequest(path, asIs, asIs, message, metadata, options)
        stream.on('error', () => {})
        stream.on('data', () => {
          resolve(undefined)
          stream.cancel()
        })
        stream.on('status', (given: StatusObject) =>
          resolve(given.code === status.OK ? undefined : failed(Object.assign(new Error(given.details), given))),
        )
      }),
  }
}
