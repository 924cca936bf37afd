import { median } from './median.js'

/** What one slice of one side gave. */
export interface Figures {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of the process under measurement, for each call. */
  readonly cpuUs: number
  readonly calls: number
}

export interface Side {
  /** Runs for so long and measures. */
  slice(ms: number): Promise<Figures>
}

export interface Slices {
  /** Before anything counts: so many calls of each side, which fill caches and let the code be compiled; for `warmMsMax` at most. */
  readonly warmCalls: number
  readonly warmMsMax?: number
  readonly rounds: number
  readonly ms: number
}

/**
 * Runs the sides in turn, a slice each, in both directions alternately: what disturbs the machine disturbs all of them, so that the ratios of
 * one round hold where rates don't.
 */
export async function interleave<K extends string>(
  sides: Readonly<Record<K, Side>>,
  { warmCalls, warmMsMax = 3_000, rounds, ms }: Slices,
): Promise<Compared<K>> {
  const names = Object.keys(sides) as K[]
  for (const name of names) {
    const end = performance.now() + warmMsMax
    for (let made = 0; made < warmCalls && performance.now() < end; ) made += (await sides[name].slice(500)).calls
  }
  const slices = Object.fromEntries(names.map((name) => [name, [] as Figures[]])) as unknown as Record<K, Figures[]>
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) slices[name].push(await sides[name].slice(ms))
  }
  return new Compared(slices)
}

/** Medians over the rounds. */
export class Compared<K extends string> {
  readonly #slices: Readonly<Record<K, readonly Figures[]>>

  constructor(slices: Readonly<Record<K, readonly Figures[]>>) {
    this.#slices = slices
  }

  of(name: K, figure: keyof Figures): number {
    return median(this.#slices[name].map((slice) => slice[figure]))
  }

  /** Of one side to another, round by round. */
  ratio(name: K, other: K, figure: keyof Figures): number {
    const others = this.#slices[other]
    return median(this.#slices[name].map((slice, round) => slice[figure] / others[round]![figure]))
  }

  difference(name: K, other: K, figure: keyof Figures): number {
    const others = this.#slices[other]
    return median(this.#slices[name].map((slice, round) => slice[figure] - others[round]![figure]))
  }
}
