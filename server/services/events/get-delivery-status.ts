import type { DeliveryStatus } from '../../../gen/customer/event/v1/event.js'
import type { GetDeliveryStatusRequest } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { readDelivery, readRelayHolder } from './delivery.repo.js'
import { deliveryToWire } from './delivery.wire.js'
import { listReplays } from './replays.repo.js'

const replaysMax = 100

export function getDeliveryStatus(db: Database): Handler<GetDeliveryStatusRequest, DeliveryStatus> {
  return (_, call) =>
    inPlatform(db, call, async (tx) => {
      const [delivery, relay, replays] = await Promise.all([readDelivery(tx), readRelayHolder(tx), listReplays(tx, replaysMax)])
      return deliveryToWire(delivery, relay, replays)
    })
}
