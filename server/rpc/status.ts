import { Metadata, type StatusObject, status } from '@grpc/grpc-js'
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
  /** As REST shows it: names as in the proto. */
  readonly json: object
}

/** The reason and code of a failure: a Fault's, or INTERNAL for any other. */
export function outcomeOf(err: unknown): { reason: Reason | 'INTERNAL'; code: Code } {
  const reason = err instanceof Fault ? err.reason : 'INTERNAL'
  return { reason, code: codeOfReason[reason] }
}

const detail = <T>(type: { $type: string; encode(message: T): { finish(): Uint8Array } }, message: T, json: object): Detail => ({
  typeUrl: `type.googleapis.com/${type.$type}`,
  value: Buffer.from(type.encode(message).finish()),
  json,
})

function detailsOf(fault: Fault, code: Code, message: string, violationsMax: number): Detail[] {
  const info = { reason: fault.reason, domain, metadata: { ...fault.metadata } }
  const details = [detail(ErrorInfo, info, info)]
  const violations = fault.violations.slice(0, violationsMax)
  if (violations.length > 0) {
    const fieldViolations = violations.map((it) => ({ ...it, reason: '', localizedMessage: undefined }))
    details.push(detail(BadRequest, { fieldViolations }, { field_violations: violations }))
  }
  if (code === Code.FAILED_PRECONDITION) {
    const precondition = { violations: [{ type: fault.reason, subject: '', description: message }] }
    details.push(detail(PreconditionFailure, precondition, precondition))
  }
  if (code === Code.RESOURCE_EXHAUSTED) {
    const quota = { violations: [{ subject: fault.reason, description: message }] }
    details.push(detail(QuotaFailure, QuotaFailure.fromPartial(quota), quota))
  }
  if (fault.retryAfterMs !== undefined) {
    const ms = Math.max(0, Math.ceil(fault.retryAfterMs))
    const retryDelay = { seconds: Math.trunc(ms / 1000), nanos: (ms % 1000) * 1e6 }
    details.push(detail(RetryInfo, { retryDelay }, { retry_delay: `${ms / 1000}s` }))
  }
  return details
}

/** The key that a gateway of ours reads: the wall of its trailers is one block of 4 kB, so it gets this instead of the other. */
const jsonKey = 'x-error-details-bin'

function entryOf(code: number, message: string, details: readonly Detail[], viaGateway: boolean): readonly [key: string, bytes: Buffer] {
  if (viaGateway) return [jsonKey, Buffer.from(JSON.stringify(details.map(({ typeUrl, json }) => ({ '@type': typeUrl, ...json }))))]
  return ['grpc-status-details-bin', Buffer.from(Status.encode({ code, message, details: [...details] }).finish())]
}

/** Why grpc-js refuses what it refuses by itself. */
const reasonOfRefusal: Readonly<Record<number, Reason>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'FIELD_INVALID',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE',
  [status.RESOURCE_EXHAUSTED]: 'REQUEST_TOO_LARGE',
  [status.UNIMPLEMENTED]: 'ROUTE_NOT_FOUND',
  [status.UNAVAILABLE]: 'SHUTTING_DOWN',
}

/** The details of such a refusal, as a header. */
export function refusalDetails(code: number, message: string, requestId: string, viaGateway: boolean): Record<string, string> {
  const info = { reason: reasonOfRefusal[code] ?? 'INTERNAL', domain, metadata: { request_id: requestId } }
  const [key, bytes] = entryOf(code, message, [detail(ErrorInfo, info, info)], viaGateway)
  return { [key]: bytes.toString('base64') }
}

export function trailersOf(entries: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata()
  for (const name in entries) metadata.set(name, entries[name]!)
  return metadata
}

/** A failure as grpc-js sends it. Violations leave from the end, until the whole fits. */
export function statusOf(err: unknown, entries: Readonly<Record<string, string>>, viaGateway: boolean): StatusObject {
  const { code } = outcomeOf(err)
  const fault = err instanceof Fault ? err : undefined
  // grpc-js percent-encodes the text, which throws over half a surrogate pair.
  const message = Buffer.from((fault?.message ?? 'internal error; the request id finds it in the log').slice(0, messageMax)).toString()
  const metadata = trailersOf(entries)
  const internal = { reason: 'INTERNAL', domain, metadata: { request_id: entries['x-request-id'] ?? '' } }
  for (let violationsMax = fault?.violations.length ?? 0; ; violationsMax--) {
    const details = fault ? detailsOf(fault, code, message, violationsMax) : [detail(ErrorInfo, internal, internal)]
    const [key, bytes] = entryOf(codeToNumber(code), message, details, viaGateway)
    if (bytes.length > detailsBytesMax && violationsMax > 0) continue
    metadata.set(key, bytes)
    return { code: codeToNumber(code), details: message, metadata }
  }
}
