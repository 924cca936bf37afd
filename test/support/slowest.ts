import { appendFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/** Prints the ten slowest files at the end, and writes `<passed> <failed>` to the file that TEST_TOTALS names. */
export default class Slowest implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const files = modules.map((module) => ({ name: module.relativeModuleId, ms: module.diagnostic().duration }))
    files.sort((a, b) => b.ms - a.ms)
    console.log('\nThe slowest files:')
    for (const { name, ms } of files.slice(0, 10)) console.log(`  ${(ms / 1000).toFixed(1)} s  ${name}`)
    const totals = process.env['TEST_TOTALS']
    if (!totals) return
    const count = (state: 'passed' | 'failed') => modules.reduce((sum, module) => sum + [...module.children.allTests(state)].length, 0)
    appendFileSync(totals, `${count('passed')} ${count('failed')}\n`)
  }
}
