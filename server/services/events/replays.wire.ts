import { type Replay, ReplayState } from '../../../gen/customer/event/v1/event.js'
import { sequenceText } from '../../outbox/envelope.js'
import type { ReplayRow } from './replays.table.js'

const states: Record<ReplayRow['state'], ReplayState> = {
  QUEUED: ReplayState.REPLAY_STATE_QUEUED,
  RUNNING: ReplayState.REPLAY_STATE_RUNNING,
  DONE: ReplayState.REPLAY_STATE_DONE,
  FAILED: ReplayState.REPLAY_STATE_FAILED,
}

export const replayToWire = (row: ReplayRow): Replay => ({
  replayId: row.id,
  tenantId: row.tenant_id,
  state: states[row.state],
  sent: Number(BigInt(row.position) - BigInt(row.after_sequence)),
  afterSequence: sequenceText(row.after_sequence),
  untilSequence: sequenceText(row.until_sequence),
  createTime: row.create_time,
  endTime: row.end_time ?? undefined,
})
