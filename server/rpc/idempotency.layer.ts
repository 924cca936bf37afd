import { createHash, randomUUID } from 'node:crypto'
import type { Claim } from '../db/call.js'
import type { Call, Layer } from './call.js'

/** Gives mutations their idempotency key (AIP-155), or marks them as a mere check (AIP-163). The claim itself is made in the transaction. */
export function idempotencyLayer(): Layer {
  return (next) => (request, call) => {
    if (call.auditAction === '') return next(request, call)
    const { requestId, validateOnly } = request as { requestId?: unknown; validateOnly?: unknown }
    if (validateOnly === true) return next(request, { ...call, validateOnly: true })
    // PUBLIC RPCs and those whose answers are single-use have no such field, and no claim.
    if (typeof requestId !== 'string') return next(request, call)
    return next(request, { ...call, claim: claimOf(request as object, requestId, call) })
  }
}

function claimOf(request: object, requestId: string, call: Call): Claim {
  const { encodeRequest, encodeAnswer, decodeAnswer } = call.codec
  return {
    requestId: requestId === '' ? randomUUID() : requestId.toLowerCase(),
    hash: createHash('sha256')
      .update(encodeRequest(sorted({ ...request, requestId: '' })))
      .digest(),
    encode: encodeAnswer,
    decode: decodeAnswer,
  }
}

/** A copy whose keys stand in order: maps are written in the order of their keys, and callers send them in any. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value
  const names = Object.keys(value).sort()
  return Object.fromEntries(names.map((name) => [name, sorted((value as Record<string, unknown>)[name])]))
}
