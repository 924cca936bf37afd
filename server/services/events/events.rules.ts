import { type EventRow, sequenceText } from '../../outbox/envelope.js'
import { Fault } from '../../rpc/fault.js'

/** Sequences that one answer looks at, at most: a filter that finds little must not read a whole archive. */
export const windowMax = 10_000
/** Of payloads and attributes in one answer; one event alone may take it all. */
export const pageBytesMax = 900_000

export interface EventsFilter {
  /** Decimal; null: from the oldest that is kept. */
  readonly after: string | null
  /** '' for all. */
  readonly type: string
  readonly limit: number
}

/** An event of the archive, or none, with the archive's bounds; sequences are decimals. */
export type EventsRow = { readonly last_sequence: string; readonly oldest_sequence: string } & (
  | (EventRow & { readonly over: boolean })
  | { readonly sequence: null; readonly over: null }
)

export interface EventsPage {
  readonly events: readonly EventRow[]
  /** All events up to this one have been looked at. */
  readonly lastSequence: bigint
  /** There are more behind it. */
  readonly more: boolean
}

/** Page sizes as the contract has them: 50 where none is asked for, 500 at most. */
export const limitOf = (pageSize: number) => Math.min(pageSize || 50, 500)

/** No sequence comes near it, and what is computed from it stays within 63 bits. */
const sequenceMax = 2n ** 62n

export const cursorAhead = (last: bigint) =>
  new Fault('CURSOR_AHEAD', 'the cursor lies beyond the last event', { last_sequence: sequenceText(last) })

export const cursorExpired = (oldest: bigint) =>
  new Fault('CURSOR_EXPIRED', 'events behind this cursor are no longer kept', { oldest_sequence: sequenceText(oldest) })

export function filterOf({ afterSequence, eventType }: { afterSequence: string; eventType: string }, limit: number): EventsFilter {
  const after = afterSequence === '' ? null : BigInt(afterSequence)
  return { after: after === null ? null : String(after < sequenceMax ? after : sequenceMax), type: eventType, limit }
}

/**
 * What of these rows goes into one answer, and up to where it has looked.
 * @throws Fault CURSOR_AHEAD, CURSOR_EXPIRED: never an answer that skips
 */
export function pageOf(rows: readonly EventsRow[], { after, limit }: EventsFilter): EventsPage {
  const [first] = rows
  if (!first) throw new Fault('TENANT_NOT_FOUND', 'there is no such tenant')
  const last = BigInt(first.last_sequence)
  const oldest = BigInt(first.oldest_sequence)
  const start = after === null ? oldest - 1n : BigInt(after)
  if (start > last) throw cursorAhead(last)
  if (start + 1n < oldest) throw cursorExpired(oldest)
  const found = rows.filter((row): row is EventRow & EventsRow & { over: boolean } => row.sequence !== null)
  const cut = found.findIndex((row) => row.over)
  const events = cut === -1 ? found : found.slice(0, cut)
  const end = start + BigInt(windowMax) < last ? start + BigInt(windowMax) : last
  const lastSequence = cut !== -1 || events.length === limit ? BigInt(events.at(-1)!.sequence) : end
  return { events, lastSequence, more: lastSequence < last }
}
