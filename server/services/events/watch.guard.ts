import { sql } from 'kysely'
import { Code } from '../../../gen/google/rpc/code.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Poll } from '../../outbox/poll.js'
import type { Call } from '../../rpc/call.js'
import { codeOfReason, Fault } from '../../rpc/fault.js'

/** A read of a stream takes no longer; the stream itself has no deadline of ours. */
const briefMs = 2_000

/** Runs `work` under a call that ends with this one, and after two seconds. */
export async function briefly<A>(call: Call, work: (brief: Call) => Promise<A>): Promise<A> {
  const controller = new AbortController()
  const follow = () => controller.abort(call.signal.reason)
  const late = new Fault('DEPENDENCY_DOWN', 'the database did not answer in time', {}, { retryAfterMs: 1_000 })
  const timer = setTimeout(() => controller.abort(late), briefMs)
  call.signal.addEventListener('abort', follow, { once: true })
  if (call.signal.aborted) follow()
  try {
    return await work({ ...call, signal: controller.signal, deadline: performance.now() + briefMs })
  } finally {
    clearTimeout(timer)
    call.signal.removeEventListener('abort', follow)
  }
}

export interface Bell {
  ring(): void
  /** Until it rings, or `timeoutMs` at most; at once if it rang since the last wait. */
  wait(timeoutMs: number): Promise<void>
}

export function bell(): Bell {
  let rang = false
  let wake = () => {}
  return {
    ring() {
      rang = true
      wake()
    },
    async wait(timeoutMs) {
      if (!rang && timeoutMs > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      rang = false
    },
  }
}

/** Where the caller may go on, added to what ends a stream for no fault of its own. */
export function withCursor(fault: Fault, lastSequence: string | undefined): Fault {
  if (lastSequence === undefined || codeOfReason[fault.reason] !== Code.UNAVAILABLE) return fault
  const { violations, retryAfterMs, cause } = fault
  const extras = { violations, cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  return new Fault(fault.reason, fault.message, { ...fault.metadata, last_sequence: lastSequence }, extras)
}

export interface GuardOptions {
  readonly authorizeMs: number
  readonly lifetimeMs: number
}

/**
 * Ends the call when its rights end, and after `lifetimeMs`, also while its reader does not read. Authorizes anew, from PostgreSQL, every `authorizeMs`
 * and at once where the polled revisions moved: the tenant's, and the platform's.
 * @returns what takes the guard off
 */
export function guardStream(db: Database, call: Call, poll: Poll, { authorizeMs, lifetimeMs }: GuardOptions): () => void {
  const due = bell()
  let over = false
  let known = ''
  const watched = poll.watch(call.tenantId, () => {
    const { accessRevision, sessionEpoch, platformRevision } = watched.seen() ?? {}
    const revisions = `${accessRevision} ${sessionEpoch} ${platformRevision}`
    if (revisions !== known) due.ring()
    known = revisions
  })
  const expired = () => call.abort(new Fault('STREAM_EXPIRED', 'the stream has lived its time; call again'))
  const expiry = setTimeout(expired, lifetimeMs)
  const authorize = async () => {
    await due.wait(authorizeMs)
    if (over || call.signal.aborted) return
    try {
      await briefly(call, (brief) => inTenant(db, brief, (tx) => tx.last(sql`select 1 as one`.compile(tx.platform))))
    } catch (err) {
      const fault = err instanceof Fault ? err : new Fault('DEPENDENCY_DOWN', 'the stream could not be authorized', {}, { cause: err })
      if (!over) call.abort(fault)
      return
    }
    void authorize()
  }
  void authorize()
  return () => {
    over = true
    clearTimeout(expiry)
    due.ring()
    watched.end()
  }
}
