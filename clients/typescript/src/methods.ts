import { randomUUID } from 'node:crypto'
import type { Input } from './input.js'
import { type Listing, listing } from './listing.js'
import type { CallOptions, Method, Transport } from './transport.js'
import { type WatchOptions, watching } from './watch.js'

type Definition<Q, S> = Pick<Method<Q, S>, 'path' | 'requestSerialize' | 'responseDeserialize'>
interface MessageType<Q> {
  fromPartial(partial: never): Q
}

/** A request without fields may be left out. */
type Arguments<Q, Options> = keyof Q extends never
  ? [request?: Input<Q> | undefined, options?: Options | undefined]
  : [request: Input<Q>, options?: Options | undefined]
export type Unary<Q, S> = (...args: Arguments<Q, CallOptions>) => Promise<S>
export type List<Q, Page, Item> = (...args: Arguments<Q, CallOptions>) => Listing<Item, Page>
/** Its `return` (and `break`) cancels the call. */
export type Watch<Q, Event> = (...args: Arguments<Q, WatchOptions>) => AsyncIterableIterator<Event>

type Bindable = (transport: Transport) => (...args: never[]) => unknown
/** A face for each RPC of a generated service definition: a forgotten one does not compile. */
export type Faces<Service> = { readonly [Rpc in keyof Service]: Bindable }
/** The face that callers see, with the comments of the contract. */
export type Bound<Service, Table> = {
  readonly [Rpc in keyof Service]: Rpc extends keyof Table ? (Table[Rpc] extends Bindable ? ReturnType<Table[Rpc]> : never) : never
}

/** Made once a client, so that a call makes nothing but its own promise. */
export function bind<Service, Table extends Faces<Service>>(transport: Transport, _service: Service, table: Table): Bound<Service, Table> {
  const entries = Object.entries<Bindable>(table).map(([rpc, face]) => [rpc, face(transport)])
  return Object.fromEntries(entries) as Bound<Service, Table>
}

const method = <Q, S>(definition: Definition<Q, S>, message: MessageType<Q>): Method<Q, S> => ({
  path: definition.path,
  requestSerialize: definition.requestSerialize,
  responseDeserialize: definition.responseDeserialize,
  create: (partial) => message.fromPartial((partial ?? {}) as never),
  repeatable: true,
})

const unary =
  <Q, S>(rpc: Method<Q, S>) =>
  (transport: Transport): Unary<Q, S> =>
    ((request, options) => transport.unary(rpc, request, options)) as (request?: unknown, options?: CallOptions) => Promise<S>

/** Changes nothing: may be sent again. */
export const read = <Q, S>(definition: Definition<Q, S>, message: MessageType<Q>) => unary(method(definition, message))

/** May be sent again because its request_id, made here if the caller gave none, lets the service carry it out once. */
export function mutation<Q extends { requestId: string }, S>(definition: Definition<Q, S>, message: MessageType<Q>) {
  const rpc = method(definition, message)
  const create = (partial: unknown) => {
    const request = rpc.create(partial)
    if (request.requestId === '') request.requestId = randomUUID()
    return request
  }
  return unary({ ...rpc, create })
}

/** `items` names the answer's list; `next` is one of listing.ts. */
export function list<Q, Page, Items extends keyof Page>(
  definition: Definition<Q, Page>,
  message: MessageType<Q>,
  items: Items,
  next: (request: Q, page: Page) => Q | undefined,
) {
  type Item = Page[Items] extends readonly (infer One)[] ? One : never
  const rpc = method(definition, message)
  return (transport: Transport): List<Q, Page, Item> =>
    ((request, options) =>
      listing(
        rpc.create(request),
        (page) => transport.unary(rpc, page, options),
        (page) => page[items] as readonly Item[],
        next,
      )) as (request?: unknown, options?: CallOptions) => Listing<Item, Page>
}

/** Resumes by sequence. */
export function watch<Q extends { afterSequence: string }, Event>(
  definition: Definition<Q, { readonly events: readonly Event[]; readonly lastSequence: string }>,
  message: MessageType<Q>,
) {
  const rpc = method(definition, message)
  return (transport: Transport): Watch<Q, Event> =>
    ((request, options) => watching(transport, rpc, request, options)) as (
      request?: unknown,
      options?: WatchOptions,
    ) => AsyncIterableIterator<Event>
}
