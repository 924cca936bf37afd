import { seeded } from './load.js'

export interface FaultRun {
  /** The same numbers in [0, 1) for the same seed; SEED in the environment repeats a run. */
  readonly random: () => number
  /** The last fault is over: from here on it is recovery. */
  recovering(): void
  /** Prints the run's line. `violations` are what must be 0. */
  report(n: number, violations: Readonly<Record<string, number>>, figures?: Readonly<Record<string, unknown>>): void
}

/** A run against faults; its line says what FAULTS.md asks of all: seed, N, violations, duration, recovery. */
export function faultRun(id: string): FaultRun {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const draw = seeded(seed)
  let drawn = false
  const begun = performance.now()
  let healed: number | undefined
  const since = (ms: number) => `${((performance.now() - ms) / 1_000).toFixed(1)} s`
  return {
    random() {
      drawn = true
      return draw()
    },
    recovering() {
      healed = performance.now()
    },
    report(n, violations, figures = {}) {
      const broken = Object.entries(violations).map(([name, count]) => `${name} ${count}`)
      const recovery = healed === undefined ? [] : [`recovery ${since(healed)}`]
      const more = Object.entries(figures).map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
      console.log(
        [
          `${id}: seed ${drawn ? seed : 'none, nothing is drawn'}`,
          `N ${n}`,
          ...broken,
          `duration ${since(begun)}`,
          ...recovery,
          ...more,
        ].join(', '),
      )
    },
  }
}
