import type { Metadata } from '@grpc/grpc-js'
import type { MethodPolicy } from '../contract/policy.js'
import type { DbCall } from '../db/call.js'
import type { Fault, Violation } from './fault.js'

/** Who calls. `tenantId` is '' for a platform principal, who may act in every tenant. */
export interface Principal {
  readonly id: string
  readonly type: 'anonymous' | 'platform-service-account'
  /** `pky_…` for a platform key. */
  readonly keyId: string
  readonly tenantId: string
  /** Permission names; `*` for the first key alone. */
  readonly scopes: readonly string[]
}

export const anonymous: Principal = { id: '', type: 'anonymous', keyId: '', tenantId: '', scopes: [] }

/** How an RPC's messages stand on the wire. */
export interface Codec {
  encodeRequest(request: unknown): Uint8Array
  encodeAnswer(answer: unknown): Uint8Array
  decodeAnswer(bytes: Uint8Array): unknown
}

/** One call on its way through the layers. A layer hands on a copy with what it settled; nobody writes into it but `log` and `trailers`. */
export interface Call extends DbCall {
  readonly policy: MethodPolicy
  readonly principal: Principal
  readonly metadata: Metadata
  /** The caller's address without its port: the peer's, or whom a gateway of ours names. */
  readonly address: string
  /** It came through a gateway of ours, which gives error details to its callers as JSON. */
  readonly viaGateway: boolean
  /** The rules that the message breaks, found while it was decoded. */
  readonly violations: readonly Violation[]
  /** The total of them, before the cut at 20. */
  readonly violationsTotal: number
  /** A fault of ours that came up while the message was decoded; undefined: none. */
  readonly failure: unknown
  /** The answer is a stream. */
  readonly streaming: boolean
  readonly codec: Codec
  /** `Date.now()` at which the caller gives up; Infinity where it did not say. */
  readonly callerDeadline: number
  /** For layers: fires `signal` with this fault, which then is the call's answer. The first one counts. */
  readonly abort: (fault: Fault) => void
  /** For streams that resume: what ends the call passes through this first, so that its fault can tell where to go on. The last one counts. */
  readonly refineAbort: (refine: (fault: Fault) => Fault) => void
  /** Sent behind the answer, whatever it is. */
  readonly trailers: Record<string, string>
  /** Fields of the call's one log line. */
  readonly log: Record<string, string | number | boolean>
}

/** A unary handler answers with the message; a streaming one with an async iterable of them. */
export type Handler<Q, S> = (request: Q, call: Call) => Promise<S>
export type StreamHandler<Q, S> = Handler<Q, AsyncIterable<S>>
/** One concern of every call; `next` is the rest of the way. It may throw as well as reject: the layers outside take both. */
export type Layer = <Q, S>(next: Handler<Q, S>) => Handler<Q, S>
