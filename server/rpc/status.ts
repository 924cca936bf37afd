import { Metadata, type StatusObject } from '@grpc/grpc-js'
import { Code, codeToNumber } from '../../gen/google/rpc/code.js'
import { BadRequest, ErrorInfo, PreconditionFailure, QuotaFailure, RetryInfo } from '../../gen/google/rpc/error_details.js'
import { Status } from '../../gen/google/rpc/status.js'
import { codeOfReason, Fault, type Reason } from './fault.js'

export const domain = 'customer-management'

/** Base64 makes 2,000 of them: a gateway gives all trailers one block of 4 kB. */
const detailsBytesMax = 1500
const messageMax = 300

interface Detail {
  readonly typeUrl: string
  readonly value: Buffer
}

/** The reason and code of a failure: a Fault's, or INTERNAL for any other. */
export function outcomeOf(err: unknown): { reason: Reason | 'INTERNAL'; code: Code } {
  const reason = err instanceof Fault ? err.reason : 'INTERNAL'
  return { reason, code: codeOfReason[reason] }
}

const detail = <T>(type: { $type: string; encode(message: T): { finish(): Uint8Array } }, message: T): Detail => ({
  typeUrl: `type.googleapis.com/${type.$type}`,
  value: Buffer.from(type.encode(message).finish()),
})

function detailsOf(fault: Fault, code: Code, message: string, violationsMax: number): Detail[] {
  const details = [detail(ErrorInfo, { reason: fault.reason, domain, metadata: { ...fault.metadata } })]
  const fieldViolations = fault.violations.slice(0, violationsMax).map((it) => ({ ...it, reason: '', localizedMessage: undefined }))
  if (fieldViolations.length > 0) details.push(detail(BadRequest, { fieldViolations }))
  if (code === Code.FAILED_PRECONDITION) {
    details.push(detail(PreconditionFailure, { violations: [{ type: fault.reason, subject: '', description: message }] }))
  }
  if (code === Code.RESOURCE_EXHAUSTED) {
    details.push(detail(QuotaFailure, QuotaFailure.fromPartial({ violations: [{ subject: fault.reason, description: message }] })))
  }
  if (fault.retryAfterMs !== undefined) {
    const ms = Math.max(0, Math.ceil(fault.retryAfterMs))
    details.push(detail(RetryInfo, { retryDelay: { seconds: Math.trunc(ms / 1000), nanos: (ms % 1000) * 1e6 } }))
  }
  return details
}

/** Violations leave from the end, until the whole fits. */
function encodeDetails(fault: Fault, code: Code, message: string): Uint8Array {
  for (let violationsMax = fault.violations.length; ; violationsMax--) {
    const details = detailsOf(fault, code, message, violationsMax)
    const bytes = Status.encode({ code: codeToNumber(code), message, details }).finish()
    if (bytes.length <= detailsBytesMax || violationsMax <= 0) return bytes
  }
}

/** The trailers of every answer. */
export function trailers(requestId: string): Metadata {
  const metadata = new Metadata()
  if (requestId !== '') metadata.set('x-request-id', requestId)
  return metadata
}

/** A failure as grpc-js sends it. Calls through a gateway will get their details under a key of their own: this is the place. */
export function statusOf(err: unknown, requestId: string): StatusObject {
  const { code } = outcomeOf(err)
  const fault = err instanceof Fault ? err : undefined
  // grpc-js percent-encodes the text, which throws over half a surrogate pair.
  const details = Buffer.from((fault?.message ?? 'internal error; the request id finds it in the log').slice(0, messageMax)).toString()
  const metadata = trailers(requestId)
  metadata.set('grpc-status-details-bin', Buffer.from(fault ? encodeDetails(fault, code, details) : encodeInternal(details, requestId)))
  return { code: codeToNumber(code), details, metadata }
}

function encodeInternal(message: string, requestId: string): Uint8Array {
  const info = detail(ErrorInfo, { reason: 'INTERNAL', domain, metadata: { request_id: requestId } })
  return Status.encode({ code: codeToNumber(Code.INTERNAL), message, details: [info] }).finish()
}
