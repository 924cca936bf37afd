import { createHash } from 'node:crypto'
import { percentile } from '../median.js'
import { Connection, type Target } from './connection.js'

export interface Load {
  readonly target: Target
  /** Sent in turn. */
  readonly messages: readonly Uint8Array[]
  readonly connections: number
  /** Calls under way over all connections: the next one goes out when one has ended. */
  readonly inFlight: number
  /** Calls a second instead, at their times, whatever is under way. */
  readonly perSecond?: number
  readonly ms: number
}

export interface LoadResult {
  readonly calls: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of this process: near 1 it would be what limits. */
  readonly loaderCpu: number
}

const pools = new Map<string, { opening: Promise<Connection[]>; nth: number }>()
/** Of a connection: a server ends one that has more than its 100 streams. A call that waits for this is late by as much. */
const underWayMax = 90

async function run({ target, messages, connections, inFlight, perSecond, ms }: Load): Promise<LoadResult> {
  const name = JSON.stringify([target, connections, createHash('sha256').update(Buffer.concat(messages)).digest('hex')])
  const openAll = () => Promise.all(Array.from({ length: connections }, () => Connection.open(target, messages)))
  const pool = pools.get(name) ?? { opening: openAll(), nth: 0 }
  pools.set(name, pool)
  const open = await pool.opening
  const latencies: number[] = []
  let failed = 0
  let underWay = 0
  let lastMs = 0
  const start = performance.now()
  const cpu = process.cpuUsage()
  let over = false
  let finish: () => void = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const call = (connection: Connection, startMs = performance.now()) => {
    underWay++
    connection.call(pool.nth++, startMs)
  }
  for (const connection of open) {
    connection.ended = (ok, startMs) => {
      lastMs = performance.now()
      if (ok) latencies.push(lastMs - startMs)
      else failed++
      underWay--
      // a broken connection: what it would say to the next call is the same
      if (!ok && failed > 1000) over = true
      if (!over && perSecond === undefined) call(connection)
      else if (over && underWay === 0) finish()
    }
  }
  if (perSecond === undefined) for (let i = 0; i < inFlight; i++) call(open[i % open.length]!)
  const timer = perSecond === undefined ? undefined : setInterval(due, 1)
  let sent = 0
  function due() {
    const until = ((performance.now() - start) * perSecond!) / 1000
    for (; sent < until && open[sent % open.length]!.underWay < underWayMax; sent++)
      call(open[sent % open.length]!, start + (sent * 1000) / perSecond!)
  }
  setTimeout(() => {
    over = true
    clearInterval(timer)
    if (underWay === 0) finish()
  }, ms)
  await finished
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (lastMs - start) / 1000
  latencies.sort((a, b) => a - b)
  return {
    calls: latencies.length,
    failed,
    perSecond: latencies.length / seconds,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
    loaderCpu: (user + system) / 1e6 / seconds,
  }
}

process.on('message', async (load: Load) => {
  process.send!(await run(load).catch((err: Error) => ({ error: err.message })))
})
