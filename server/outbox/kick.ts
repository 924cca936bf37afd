import { randomUUID } from 'node:crypto'

/** What carries kicks between replicas: the cache's messages, by Redis or within the process. Neither waits nor throws. */
export interface KickChannel {
  publish(channel: string, text: string): void
  /** @returns what ends the subscription */
  subscribe(channel: string, listener: (text: string) => void): () => void
}

/** Names the tenants that committed. */
export type KickListener = (tenantIds: readonly string[]) => void

export interface Kicks {
  /** Right after a commit: tells the listeners of this process, and those of the other replicas. Never throws, and waits for nobody. */
  kick(tenantId: string): void
  listen(listener: KickListener): void
  stop(): void
}

/** Tenants of one message at most; the rest is found by the polls. */
const namesMax = 1_000

/**
 * A kick only shortens the wait: whoever listens polls as well, so that one which is lost costs a tenth of a second. Kicks of the same turn of the
 * event loop travel as one message.
 */
export function createKicks(bus: KickChannel, channel = 'commits'): Kicks {
  const self = randomUUID()
  const listeners: KickListener[] = []
  const due = new Set<string>()
  const tell = (tenantIds: readonly string[]) => {
    for (const listener of listeners) listener(tenantIds)
  }
  const flush = () => {
    const names = [...due]
    due.clear()
    tell(names)
    bus.publish(channel, JSON.stringify({ from: self, tenants: names.slice(0, namesMax) }))
  }
  const end = bus.subscribe(channel, (text) => {
    const message = parse(text)
    if (message && message.from !== self) tell(message.tenants)
  })
  return {
    kick(tenantId) {
      due.add(tenantId)
      if (due.size === 1) setImmediate(flush)
    },
    listen(listener) {
      listeners.push(listener)
    },
    stop() {
      listeners.length = 0
      end()
    },
  }
}

/** undefined for what no replica of ours sent. */
function parse(text: string): { from: string; tenants: string[] } | undefined {
  try {
    const { from, tenants } = JSON.parse(text)
    const fits =
      typeof from === 'string' && Array.isArray(tenants) && tenants.every((name) => typeof name === 'string' && name.length <= 40)
    return fits ? { from, tenants: tenants.slice(0, namesMax) } : undefined
  } catch {
    return undefined
  }
}
