import type { ServerUnaryCall, ServerWritableStream, ServiceDefinition, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js'
import { methodDesc } from '../contract/descriptors.js'
import { policyOf } from '../contract/policies.js'
import { checkerOf } from '../contract/validator.js'
import { anonymous, type Call, type Handler, type Layer, type StreamHandler } from './call.js'
import { CallSignal } from './call-signal.js'
import { Fault, type Violation } from './fault.js'
import { callerAddress, cameByGateway } from './gateway.js'
import { statusOf, trailersOf } from './status.js'
import { orAborted } from './stream.js'

/** A service as the generator writes it for grpc-js: `typeof TenantServiceService`. */
export type Definition = Readonly<Record<string, Method>>
interface Method {
  readonly path: string
  readonly requestStream: false
  readonly responseStream: boolean
  readonly requestSerialize: (value: never) => Buffer
  readonly requestDeserialize: (bytes: Buffer) => unknown
  readonly responseSerialize: (value: never) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => unknown
}

/** A handler for each RPC of a service, no more and no less. */
export type Handlers<D> = { readonly [K in keyof D]: HandlerOf<D[K]> }
type HandlerOf<M> = M extends { requestDeserialize: (bytes: Buffer) => infer Q; responseDeserialize: (bytes: Buffer) => infer S }
  ? M extends { responseStream: true }
    ? StreamHandler<Q, S>
    : Handler<Q, S>
  : never
type NoOthers<D, H> = { readonly [K in Exclude<keyof H, keyof D>]: never }

/** A service with its handlers, as `createRpcServer` takes it. */
export interface Service {
  /** `customer.tenant.v1.TenantService`. */
  readonly name: string
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

/** What the deserializer makes of a request. It never throws: grpc-js would answer INTERNAL, and none of the layers would know. */
interface Received {
  readonly message: unknown
  readonly violations: readonly Violation[]
  readonly violationsTotal: number
  readonly failure: unknown
}
type Open = (wire: ServerUnaryCall<Received, Buffer> | ServerWritableStream<Received, Buffer>) => Call

/** Puts handlers behind the layers (the first is the outermost). Throws if an RPC has no valid policy, or rules that make no sense. */
export function implement<D extends Definition, H extends Handlers<D>>(
  definition: D,
  handlers: H & NoOthers<D, H>,
  layers: readonly Layer[],
): Service {
  const methods: Record<string, ServiceDefinition[string]> = {}
  const implementation: UntypedServiceImplementation = {}
  let name = ''
  for (const [key, method] of Object.entries(definition)) {
    const handler = (handlers as Record<string, unknown>)[key]
    if (typeof handler !== 'function') throw new Error(`${method.path} has no handler`)
    name = methodDesc(method.path).parent.typeName
    methods[key] = onTheWire(method)
    const run = layers.reduceRight((next, layer) => layer(next), encoding(method, handler as Handler<unknown, unknown>))
    const open = opening(method)
    implementation[key] = method.responseStream ? serveStream(open, run) : serveUnary(open, run)
  }
  return { name, definition: methods, implementation }
}

function onTheWire(method: Method): ServiceDefinition[string] {
  const check = checkerOf(methodDesc(method.path).input)
  const empty = Buffer.alloc(0)
  const receive = (bytes: Buffer): Received => {
    try {
      const { violations, total, decodable } = check(bytes)
      return { message: method.requestDeserialize(decodable ? bytes : empty), violations, violationsTotal: total, failure: undefined }
    } catch (err) {
      return { message: method.requestDeserialize(empty), violations: [], violationsTotal: 0, failure: err }
    }
  }
  const asIs = (bytes: Buffer) => bytes
  const { path, requestStream, responseStream } = method
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: receive,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  }
}

/** Answers are encoded behind the layers: a message that does not encode is a failure like others, and grpc-js handles bytes alone. */
function encoding(method: Method, handler: Handler<unknown, unknown>): Handler<unknown, unknown> {
  const encode = method.responseSerialize as (answer: unknown) => Buffer
  async function* encoded(answers: AsyncIterable<unknown>) {
    for await (const answer of answers) yield encode(answer)
  }
  if (method.responseStream) return async (message, call) => encoded((await handler(message, call)) as AsyncIterable<unknown>)
  return async (message, call) => encode(await handler(message, call))
}

function opening(method: Method): Open {
  const policy = policyOf(methodDesc(method.path))
  const codec = {
    encodeRequest: method.requestSerialize as (request: unknown) => Buffer,
    encodeAnswer: method.responseSerialize as (answer: unknown) => Buffer,
    decodeAnswer: method.responseDeserialize as (bytes: Uint8Array) => unknown,
  }
  return (wire) => {
    const signal = new CallSignal()
    let refine = (fault: Fault) => fault
    const { violations, violationsTotal, failure } = wire.request
    const deadline = wire.getDeadline()
    const told = (name: string) => wire.metadata.get(name)[0]
    return {
      method: method.path,
      policy,
      auditAction: policy.auditAction,
      principal: anonymous,
      tenantId: '',
      deadline: Number.POSITIVE_INFINITY,
      callerDeadline: typeof deadline === 'number' ? deadline : deadline.getTime(),
      signal,
      abort(fault) {
        if (!signal.aborted) signal.abort(refine(fault))
      },
      refineAbort(given) {
        refine = given
      },
      requestId: '',
      traceparent: '',
      claim: undefined,
      validateOnly: false,
      judge: undecided,
      metadata: wire.metadata,
      address: callerAddress(wire.getPeer(), told),
      viaGateway: cameByGateway(told),
      violations,
      violationsTotal,
      failure,
      streaming: method.responseStream,
      codec,
      trailers: {},
      log: {},
    }
  }
}

/** Without the authorize layer nothing reaches the database. */
function undecided(): never {
  throw new Error('nobody has settled what this call may do')
}

/** A caller's own clock ends the call before its message says so to us: close to its deadline, going away is that. */
const deadlineSlackMs = 20

const gone = (call: Call) =>
  Date.now() > call.callerDeadline - deadlineSlackMs
    ? new Fault('DEADLINE', 'the deadline has passed; the work was stopped')
    : new Fault('CANCELLED', 'the caller went away')

function serveUnary(open: Open, run: Handler<unknown, unknown>) {
  return (wire: ServerUnaryCall<Received, Buffer>, answer: sendUnaryData<Buffer>) => {
    const call = open(wire)
    let over = false
    // It fires after a success, too.
    wire.on('cancelled', () => over || call.abort(gone(call)))
    run(wire.request.message, call)
      .then(
        (bytes) => {
          over = true
          answer(null, bytes as Buffer, trailersOf(call.trailers))
        },
        (err) => {
          over = true
          answer(statusOf(err, call.trailers, call.viaGateway))
        },
      )
      .catch(unanswered)
  }
}

function serveStream(open: Open, run: Handler<unknown, unknown>) {
  return (wire: ServerWritableStream<Received, Buffer>) => {
    const call = open(wire)
    let over = false
    wire.on('cancelled', () => over || call.abort(gone(call)))
    const send = async () => {
      const answers = (await run(wire.request.message, call)) as AsyncIterable<Buffer>
      for await (const bytes of answers) await written(wire, bytes, call.signal)
    }
    send()
      .then(
        () => {
          over = true
          wire.end(trailersOf(call.trailers))
        },
        (err) => {
          over = true
          // To grpc-js this is the status to end with, behind what is written already.
          if (!wire.destroyed) wire.emit('error', statusOf(err, call.trailers, call.viaGateway))
        },
      )
      .catch(unanswered)
  }
}

/** Resolves when the bytes have left: a slow reader has one message waiting for it, never a queue. */
function written(wire: ServerWritableStream<Received, Buffer>, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const sent = new Promise<void>((resolve, reject) => {
    wire.write(bytes, (err: Error | null | undefined) => (err ? reject(err) : resolve()))
  })
  return orAborted(sent, signal)
}

/** grpc-js itself threw while it answered: the caller is past helping, the process is not. */
function unanswered(err: unknown) {
  process.emitWarning(err instanceof Error ? err : String(err))
}
