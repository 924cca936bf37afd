import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** Not there, or not yet: started at the same time as we, or cut off. */
const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  '57P03',
  '53300',
])

export interface AnswersOptions {
  readonly ssl?: pg.ClientConfig['ssl']
  readonly signal: AbortSignal
  readonly log: (line: string) => void
  readonly timeoutMs?: number
}

/**
 * Waits until the database lets the login in: it may be starting at the same time as we, and a process that ends at once is only started again.
 * What PostgreSQL itself objects to (a password, say) is left to who comes next.
 * @throws where it is still away after `timeoutMs` (30 s), where it is not whom we may trust (TLS), or when the signal fires
 */
export async function databaseAnswers(url: string, { ssl, signal, log, timeoutMs = 30_000 }: AnswersOptions): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, ...(ssl === undefined ? {} : { ssl }) })
    client.on('error', () => {})
    const failure = await client.connect().then(
      () => undefined,
      (err: Error & { code?: string }) => err,
    )
    await client.end().catch(() => {})
    if (failure === undefined) return
    const { host } = new URL(url)
    if (!awayCodes.has(failure.code ?? '') && !/timeout/i.test(failure.message)) {
      if (failure instanceof pg.DatabaseError) return
      // what OpenSSL says names nobody
      throw new Error(`PostgreSQL on ${host}: ${failure.message}`, { cause: failure })
    }
    if (performance.now() > deadline) throw new Error(`PostgreSQL on ${host} does not answer: ${failure.message || failure.code}`)
    if (attempt === 1) log(`PostgreSQL on ${host} does not answer yet (${failure.code ?? failure.message}): waiting for it`)
    await sleep(Math.min(1_000, 100 * attempt), undefined, { signal }).catch(() => {})
  }
}
