/** What may be lost: counts of a minute, and messages that only save waiting. Redis, or memory where there is none. Nothing in here rejects or hangs. */
export interface Cache {
  readonly kind: 'redis' | 'memory'
  /** To all replicas (memory: to this process), this one included. At most once: what matters must not depend on it. */
  publish(channel: string, text: string): void
  /** @returns what ends the subscription */
  subscribe(channel: string, listener: (text: string) => void): () => void
  /** Counts failures by address: `points` of them in `durationS` seconds block it until these are over. */
  failureLimiter(limit: FailureLimit): FailureLimiter
  /** Counts calls by key: `points` of them in `durationS` seconds, over all replicas; `name` tells this limit from others. */
  rateLimiter(limit: RateLimit): RateLimiter
  /** Whether the store answers; within 1.5 s, also while the first connection is being made. */
  ping(): Promise<boolean>
  stop(): Promise<void>
}

export interface FailureLimit {
  readonly points: number
  readonly durationS: number
}

export interface FailureLimiter {
  /** For how many ms the address is still blocked; 0: it is not. Whoever is blocked must be refused without being counted, so that it ends. */
  blocked(address: string): Promise<number>
  /** Counts a failure. */
  failed(address: string): Promise<void>
}

export interface RateLimit extends FailureLimit {
  readonly name: string
}

/** What is left of a key's calls. */
export interface Rate {
  readonly allowed: boolean
  /** In a window. */
  readonly limit: number
  readonly remaining: number
  /** Until the window ends. */
  readonly resetMs: number
}

export interface RateLimiter {
  /** Takes one call; at once, where nobody has to be asked. */
  take(key: string): Rate | Promise<Rate>
}
