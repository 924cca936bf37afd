import type { DeliveryStatus } from '../../../gen/customer/event/v1/event.js'
import { topicOfStream } from '../../outbox/topics.js'
import type { DeliveryRow, HolderRow } from './delivery.repo.js'
import type { ReplayRow } from './replays.table.js'
import { replayToWire } from './replays.wire.js'

const streams = ['domain', 'security', 'platform'] as const

export const deliveryToWire = (
  delivery: readonly DeliveryRow[],
  relay: HolderRow | undefined,
  replays: readonly ReplayRow[],
): DeliveryStatus => ({
  topics: streams.map((stream) => {
    const row = delivery.find((it) => it.stream === stream)
    return {
      topic: topicOfStream(stream),
      pendingEvents: row?.pending ?? '0',
      oldestPendingTime: row?.oldest_pending_time ?? undefined,
      lastSentTime: row?.last_sent_time ?? undefined,
    }
  }),
  relayHeld: relay?.expire_time != null,
  relayHolder: relay?.holder ?? '',
  relayExpireTime: relay?.expire_time ?? undefined,
  replays: replays.map(replayToWire),
})
