import { createHash, randomUUID } from 'node:crypto'
import { methodDesc } from '../contract/descriptors.js'
import { holdsSecrets, withoutSecrets } from '../contract/secrets.js'
import type { Claim, Sealing } from '../db/call.js'
import type { Ring } from '../keys/ring.js'
import { seal, unseal } from '../keys/seal.js'
import type { Call, Layer } from './call.js'

/**
 * Gives mutations their idempotency key (AIP-155), or marks them as a mere check (AIP-163). The claim itself is made in the transaction.
 * @param ring seals the answers that hold secrets
 */
export function idempotencyLayer(ring: Ring): Layer {
  return (next) => (request, call) => {
    if (call.auditAction === '') return next(request, call)
    const { requestId, validateOnly } = request as { requestId?: unknown; validateOnly?: unknown }
    if (validateOnly === true) return next(request, { ...call, validateOnly: true })
    // PUBLIC RPCs and those whose answers are single-use have no such field, and no claim.
    if (typeof requestId !== 'string') return next(request, call)
    return next(request, { ...call, claim: claimOf(request as object, requestId, call, ring) })
  }
}

function claimOf(request: object, given: string, call: Call, ring: Ring): Claim {
  const { encodeRequest, encodeAnswer, decodeAnswer } = call.codec
  const requestId = given === '' ? randomUUID() : given.toLowerCase()
  const sealing = sealingOf(call, requestId, ring)
  return {
    requestId,
    hash: createHash('sha256')
      .update(encodeRequest(sorted({ ...request, requestId: '' })))
      .digest(),
    encode: encodeAnswer,
    decode: decodeAnswer,
    ...(sealing ? { sealing } : {}),
  }
}

function sealingOf({ method, principal }: Call, requestId: string, ring: Ring): Sealing | undefined {
  const { output } = methodDesc(method)
  if (!holdsSecrets(output)) return undefined
  const label = { purpose: 'stored-answer', place: [principal.id, method, requestId] }
  return {
    withoutSecrets: (answer) => withoutSecrets(output, answer),
    seal: (answer) => seal(ring, label, answer),
    unseal: (sealed) => unseal(ring, label, sealed),
  }
}

/** A copy whose keys stand in order: maps are written in the order of their keys, and callers send them in any. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value
  const names = Object.keys(value).sort()
  return Object.fromEntries(names.map((name) => [name, sorted((value as Record<string, unknown>)[name])]))
}
