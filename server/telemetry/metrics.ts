/** A number that only grows, for the life of the process. */
export interface Counter {
  add(n?: number): void
  readonly value: number
}

const counters = new Map<string, { value: number }>()

/** The process's counter of this name, made at its first use; names are dotted and lower case: `outbox.parked`. */
export function counter(name: string): Counter {
  const held = counters.get(name) ?? { value: 0 }
  counters.set(name, held)
  return {
    add: (n = 1) => {
      held.value += n
    },
    get value() {
      return held.value
    },
  }
}

/** All of them, by name. */
export function readCounters(): Record<string, number> {
  return Object.fromEntries([...counters].map(([name, { value }]) => [name, value]))
}

const gauges = new Map<string, number>()

/** Sets what the process last measured under this name; named as counters are: `db.xmin.seconds`. */
export const setGauge = (name: string, value: number): void => void gauges.set(name, value)

/** All of them, by name. */
export const readGauges = (): Record<string, number> => Object.fromEntries(gauges)
