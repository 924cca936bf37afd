import type pg from 'pg'
import { type Batch, type Result, sendBatch } from './batch.js'
import { RunAnew } from './failures.js'
import { type Client, reusable } from './pool.js'
import type { Statement } from './statement.js'

/** A second connection is worth while behind so many flights on the first. */
const busyAt = 4
const flightsMax = 32
/** Then it goes back to the pool, which knows when a connection is too old. */
const flightsInAll = 1_000
/** An answer that takes longer holds up those behind it. */
const stuckMs = 250

/** A flight on its way. */
export interface Trip {
  readonly results: readonly Promise<Result>[]
  /** Its call is over: should it be what holds up its connection, that ends. */
  abort(): void
}

interface Lane {
  readonly client: Promise<Client>
  joined: number
  flights: number
  /** Nobody may join it any more. */
  closed: boolean
  readonly onTheWay: { readonly batch: Batch; since: number; aborted: boolean }[]
}

/** Connections that short read-only flights share. */
export interface Lanes {
  /**
   * Sends a whole transaction, from BEGIN to COMMIT, among those of others, one write to the socket for all that come together. Rejects with RunAnew
   * those that another's failure or slowness stands in the way of. undefined: all are busy.
   */
  send(statements: readonly Statement[]): Promise<Trip> | undefined
}

export function openLanes(pool: pg.Pool, lanesMax: number): Lanes {
  const lanes = new Set<Lane>()

  const pick = (): Lane | undefined => {
    let best: Lane | undefined
    let open = 0
    for (const lane of lanes) {
      if (lane.closed) continue
      open++
      if (!best || lane.joined < best.joined) best = lane
    }
    if (open < lanesMax && (!best || best.joined >= busyAt)) return start()
    return best && best.joined < flightsMax ? best : undefined
  }

  const start = (): Lane => {
    const lane: Lane = { client: pool.connect() as Promise<Client>, joined: 0, flights: 0, closed: false, onTheWay: [] }
    lanes.add(lane)
    return lane
  }

  const leave = (lane: Lane, client?: Client) => {
    if (--lane.joined > 0) return
    lanes.delete(lane)
    client?.release(!reusable(client))
  }

  let timer: NodeJS.Timeout | undefined
  const watch = () => {
    timer ??= setInterval(() => {
      if (lanes.size === 0) {
        clearInterval(timer)
        timer = undefined
      }
      for (const lane of lanes) void freeFromStuck(lane)
    }, stuckMs / 2).unref()
  }

  const freeFromStuck = async (lane: Lane) => {
    const [first, ...others] = lane.onTheWay
    if (!first || performance.now() - first.since < stuckMs) return
    lane.closed = true
    for (const { batch } of others) batch.abandon(new RunAnew('what was sent before holds it up'))
    if (first.aborted) (await lane.client).connection.stream.destroy()
  }

  const corked = new WeakSet<Client>()
  const writeTogether = (client: Client) => {
    if (corked.has(client)) return
    corked.add(client)
    client.connection.stream.cork()
    setImmediate(() => {
      corked.delete(client)
      client.connection.stream.uncork()
    })
  }

  const fly = async (lane: Lane, statements: readonly Statement[]): Promise<Trip> => {
    lane.joined++
    if (++lane.flights >= flightsInAll) lane.closed = true
    const client = await lane.client.catch((error: unknown) => {
      lane.closed = true
      leave(lane)
      throw error
    })
    writeTogether(client)
    const batch = sendBatch(client, statements, true)
    const entry = { batch, since: performance.now(), aborted: false }
    lane.onTheWay.push(entry)
    watch()
    void batch.answered.then((failed) => {
      lane.onTheWay.splice(lane.onTheWay.indexOf(entry), 1)
      if (lane.onTheWay[0]) lane.onTheWay[0].since = performance.now()
      if (failed) lane.closed = true // its transaction is still open, and what was sent behind it fails
      leave(lane, client)
    })
    return {
      results: batch.results,
      abort() {
        entry.aborted = true
      },
    }
  }

  return {
    send(statements) {
      const lane = pick()
      return lane && fly(lane, statements)
    },
  }
}
