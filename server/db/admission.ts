import { Fault } from '../rpc/fault.js'

export type Gate = <T>(key: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>

/** At most `limit` per key at a time; up to `queueMax` more wait in memory, where they hold no connection; then TENANT_BUSY. */
export function gate(limit: number, queueMax: number): Gate {
  const lanes = new Map<string, { free: number; readonly waiting: (() => void)[] }>()
  return async (key, signal, work) => {
    signal.throwIfAborted()
    const lane = lanes.get(key) ?? { free: limit, waiting: [] }
    lanes.set(key, lane)
    if (lane.free > 0) lane.free--
    else await wait(lane.waiting, queueMax, signal)
    try {
      return await work()
    } finally {
      const next = lane.waiting.shift()
      if (next) next()
      else if (++lane.free === limit) lanes.delete(key)
    }
  }
}

function wait(waiting: (() => void)[], queueMax: number, signal: AbortSignal): Promise<void> {
  if (waiting.length >= queueMax) {
    throw new Fault('TENANT_BUSY', 'too many calls wait already; try again', {}, { retryAfterMs: 200 })
  }
  return new Promise((resolve, reject) => {
    const go = () => {
      signal.removeEventListener('abort', give)
      resolve()
    }
    const give = () => {
      waiting.splice(waiting.indexOf(go), 1)
      reject(signal.reason)
    }
    waiting.push(go)
    signal.addEventListener('abort', give, { once: true })
  })
}
