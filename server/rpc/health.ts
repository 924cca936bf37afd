import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import type { Service } from './kernel.js'

/** Whether a replica takes calls, as grpc.health.v1 tells it: of all services at once, and of '' for the whole. */
export interface Health {
  readonly service: Service
  set(serving: boolean): void
  /** Ends the watches that are open. */
  end(): void
}

interface Request {
  readonly service: string
}
const serving = 1
const notServing = 2
const serviceUnknown = 3

/** What ends the streams that are nobody's handlers. */
export const shuttingDown = { code: status.UNAVAILABLE, details: 'this replica is shutting down; call again' }

export function createHealth(names: readonly string[]): Health {
  const known = new Set(['', ...names])
  const watches = new Set<ServerWritableStream<Request, number>>()
  let state = serving
  const check = ({ request }: ServerUnaryCall<Request, number>, answer: sendUnaryData<number>) =>
    known.has(request.service) ? answer(null, state) : answer({ code: status.NOT_FOUND, details: 'no such service' })
  const watch = (wire: ServerWritableStream<Request, number>) => {
    wire.write(known.has(wire.request.service) ? state : serviceUnknown)
    watches.add(wire)
    wire.on('close', () => watches.delete(wire))
  }
  const method = (name: string, responseStream: boolean) => ({
    path: `/grpc.health.v1.Health/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: serviceOf,
    responseSerialize: (value: number) => Buffer.from([8, value]),
    responseDeserialize: (bytes: Buffer) => bytes[1] ?? 0,
  })
  return {
    service: {
      name: 'grpc.health.v1.Health',
      definition: { check: method('Check', false), watch: method('Watch', true) },
      implementation: { check, watch },
    },
    set(now) {
      state = now ? serving : notServing
      for (const wire of watches) if (known.has(wire.request.service)) wire.write(state)
    },
    end() {
      for (const wire of watches) wire.emit('error', shuttingDown)
    },
  }
}

/** HealthCheckRequest.service; bytes that are no such message ask for no service that there is. */
function serviceOf(bytes: Buffer): Request {
  try {
    const reader = new BinaryReader(bytes)
    let service = ''
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag()
      if (number === 1 && wireType === WireType.LengthDelimited) service = reader.string()
      else reader.skip(wireType, number)
    }
    return { service }
  } catch {
    return { service: '\0' }
  }
}
