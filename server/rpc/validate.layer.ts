import type { Layer } from './call.js'
import { Fault } from './fault.js'

/** Refuses a message that breaks the contract's rules, all of them told at once. */
export function validateLayer(): Layer {
  return (next) => (request, call) => {
    if (call.failure !== undefined) throw call.failure
    if (call.violationsTotal === 0) return next(request, call)
    const first = call.violations[0]
    const message = first ? `${first.field === '' ? '' : `${first.field}: `}${first.description}` : 'the message breaks rules'
    const metadata = { violations_total: String(call.violationsTotal) }
    throw new Fault('FIELD_INVALID', message, metadata, { violations: call.violations })
  }
}
