/** The right to run a job, for as long as it lasts. */
export interface Lease {
  readonly name: string
  /** This process. */
  readonly holder: string
  /** Grows with every change of hands; decimal. */
  readonly epoch: string
  /** How long it surely lasts, by this process's monotonic clock; below 0 once it has run out. Grows with each renewal. */
  msLeft(): number
}

export interface JobContext {
  /** Fires when the lease is lost and when the service drains: the run ends at its next step. */
  readonly signal: AbortSignal
  /** For `every` it never runs out. */
  readonly lease: Lease
}

/** Work that no call starts. */
export interface Job {
  readonly name: string
  /** From the end of a run to the next, give or take a tenth. */
  readonly everyMs: number
  /** `one`: the replica that holds the lease runs it, the others stand by. `every`: each replica does. */
  readonly lease: 'one' | 'every'
  run(context: JobContext): Promise<void>
}

/** The lease of what every replica runs. */
export const noLease = (name: string): Lease => ({ name, holder: '', epoch: '0', msLeft: () => Number.POSITIVE_INFINITY })
