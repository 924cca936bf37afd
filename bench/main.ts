import { createTenant } from './create-tenant.bench.js'
import { echo } from './echo.bench.js'
import { edge } from './edge.bench.js'
import { events } from './events.bench.js'
import { getTenant, reads } from './get-tenant.bench.js'
import { limits } from './limits.bench.js'
import { type Line, table } from './line.js'
import { mutation } from './mutation.bench.js'
import { openStage, type Stage } from './stage.js'

const benches: Record<string, (stage: Stage) => Promise<Line[]>> = { echo, getTenant, mutation, createTenant, events, reads, edge, limits }

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(`no such figure: ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}`)
  process.exit(64)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

const begun = performance.now()
const stage = await openStage()
const lines: Line[] = []
try {
  for (const [name, bench] of Object.entries(benches)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    const start = performance.now()
    try {
      const found = await bench(stage)
      lines.push(...found)
      console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s\n${table(found)}\n`)
    } catch (err) {
      // the other figures are worth having all the same
      console.error(`${name}: ${(err as Error).stack}`)
      process.exitCode = 1
    }
  }
} finally {
  await stage.stop()
}
console.log(table(lines))
console.log(
  `\n${((performance.now() - begun) / 1000).toFixed(0)} s; Node ${process.versions.node}. Rates are this machine's, and this moment's; the ratios count.`,
)
