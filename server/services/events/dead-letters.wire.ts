import { type DeadLetter, DeadLetterState } from '../../../gen/customer/event/v1/event.js'
import { sequenceText } from '../../outbox/envelope.js'
import { topicOfStream } from '../../outbox/topics.js'
import type { DeadLetterRow } from './dead-letters.repo.js'
import { deadLetterId, type DeadLetterState as State } from './dead-letters.rules.js'

const states: Record<State, DeadLetterState> = {
  PARKED: DeadLetterState.DEAD_LETTER_STATE_PARKED,
  REDRIVING: DeadLetterState.DEAD_LETTER_STATE_REDRIVING,
  REDRIVEN: DeadLetterState.DEAD_LETTER_STATE_REDRIVEN,
}

/** The state that a filter names; undefined: any. */
export const deadLetterStateFilter = (state: DeadLetterState): State | undefined =>
  (Object.keys(states) as State[]).find((name) => states[name] === state)

/** Of one that is malformed, id and type may be anything: they are cut. */
export const deadLetterToWire = (row: DeadLetterRow): DeadLetter => ({
  id: deadLetterId(row),
  tenantId: row.tenant_id,
  topic: topicOfStream(row.stream),
  sequence: sequenceText(row.sequence),
  eventId: row.event_id.slice(0, 40),
  eventType: row.type.slice(0, 100),
  reason: row.reason,
  detail: row.detail,
  payloadBytes: row.payload_bytes,
  state: states[row.state],
  eventTime: row.time,
  createTime: row.create_time,
  redriveTime: row.redrive_time ?? undefined,
})
