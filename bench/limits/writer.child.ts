import { percentile } from '../median.js'
import { kernelWriter } from './kernel.js'
import { plainKyselyWriter } from './plain-kysely.js'
import { rawWriter } from './raw.js'
import type { Writer } from './writer.js'

export interface Writing {
  readonly kind: 'raw' | 'kysely' | 'kernel'
  readonly url: string
  /** Written in turn. */
  readonly tenantIds: readonly string[]
  readonly inFlight: number
  readonly ms: number
}

export interface WritingResult {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly calls: number
}

const makers = { raw: rawWriter, kysely: plainKyselyWriter, kernel: kernelWriter }
const writers = new Map<string, Writer>()
let nth = 0

async function run({ kind, url, tenantIds, inFlight, ms }: Writing): Promise<WritingResult> {
  const writer = writers.get(`${kind} ${url}`) ?? makers[kind](url)
  writers.set(`${kind} ${url}`, writer)
  const latencies: number[] = []
  const start = performance.now()
  const lane = async () => {
    while (performance.now() - start < ms) {
      const begun = performance.now()
      const turn = nth++
      await writer.write(tenantIds[turn % tenantIds.length]!, `Acme ${turn}`)
      latencies.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const seconds = (performance.now() - start) / 1000
  latencies.sort((a, b) => a - b)
  return {
    perSecond: latencies.length / seconds,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
    calls: latencies.length,
  }
}

process.on('message', async (writing: Writing) => {
  process.send!(await run(writing).catch((err: Error) => ({ error: err.message })))
})
