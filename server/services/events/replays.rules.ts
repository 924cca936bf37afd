import { fieldInvalid } from '../../rpc/fault.js'
import { cursorAhead, cursorExpired } from './events.rules.js'
import type { ReplayRow } from './replays.table.js'

/** Events of one replay, at most. */
export const replayEventsMax = 1_000_000

/** The archive's first event and its last; sequences are decimals. */
export interface Archive {
  readonly oldest_sequence: string
  readonly last_sequence: string
}

export interface ReplayRequest {
  readonly afterSequence: string
  readonly untilSequence: string
}

/**
 * The replay that was asked for; one without events is done already.
 * @throws Fault CURSOR_AHEAD, CURSOR_EXPIRED, FIELD_INVALID: never fewer events than were asked for
 */
export function newReplay(
  id: string,
  tenantId: string,
  { afterSequence, untilSequence }: ReplayRequest,
  archive: Archive,
  now: Date,
): ReplayRow {
  const [oldest, last] = [BigInt(archive.oldest_sequence), BigInt(archive.last_sequence)]
  const after = afterSequence === '' ? oldest - 1n : BigInt(afterSequence)
  const until = untilSequence === '' ? last : BigInt(untilSequence)
  if (after > last || until > last) throw cursorAhead(last)
  if (after + 1n < oldest || until + 1n < oldest) throw cursorExpired(oldest)
  if (until < after) throw fieldInvalid('until_sequence', 'lies before after_sequence')
  if (until - after > replayEventsMax)
    throw fieldInvalid('until_sequence', `lies more than ${replayEventsMax} events behind after_sequence`)
  const done = until === after
  return {
    id,
    tenant_id: tenantId,
    after_sequence: String(after),
    until_sequence: String(until),
    position: String(after),
    state: done ? 'DONE' : 'QUEUED',
    create_time: now,
    update_time: now,
    end_time: done ? now : null,
  }
}
