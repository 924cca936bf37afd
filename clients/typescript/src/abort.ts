import { setMaxListeners } from 'node:events'

/** Runs `end` once, when one of the signals is aborted (at once if one is); the answer stops the listening, and must be called on every path. */
export function onAbort(signals: readonly (AbortSignal | undefined)[], end: () => void): () => void {
  const stop = () => {
    for (const signal of signals) signal?.removeEventListener('abort', once)
  }
  const once = () => {
    stop()
    end()
  }
  for (const signal of signals) {
    if (!signal) continue
    if (signal.aborted) {
      once()
      break
    }
    // One signal for a hundred calls is no leak, since each stops listening.
    setMaxListeners(0, signal)
    signal.addEventListener('abort', once)
  }
  return stop
}
