import { type Metadata, status } from '@grpc/grpc-js'
import type { ErrorReason as ContractReason } from '../../../gen/customer/error/v1/reason.js'
import { BadRequest, ErrorInfo, RetryInfo } from '../../../gen/google/rpc/error_details.js'
import { Status } from '../../../gen/google/rpc/status.js'

type Bare<Name> = Name extends `ERROR_REASON_${infer Rest}` ? Rest : never
/** A reason of the contract, or one that only a newer server knows. */
export type ErrorReason = Exclude<Bare<keyof typeof ContractReason>, 'UNSPECIFIED'> | (string & {})
/** The name of a gRPC code. */
export type ErrorCode = Exclude<keyof typeof status, 'OK'>

/** A field of the request that breaks a rule: its path in proto names (`contacts.billing_email`) and why. */
export interface Violation {
  readonly field: string
  readonly description: string
}

interface ErrorFields {
  readonly code: ErrorCode
  readonly requestId: string
  readonly reason?: string | undefined
  readonly metadata?: Readonly<Record<string, string>>
  readonly violations?: readonly Violation[]
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** What every failed call throws. It never holds the API key. */
export class CustomerManagementError extends Error {
  override readonly name = 'CustomerManagementError'
  /** The gRPC code's name, e.g. `NOT_FOUND`. */
  readonly code: ErrorCode
  /** Why, e.g. `TENANT_NOT_FOUND`; undefined where the service did not answer (connection, deadline, abort). */
  readonly reason: ErrorReason | undefined
  /** What the reason's comment in the contract names, e.g. `tenant_id`. */
  readonly metadata: Readonly<Record<string, string>>
  /** The first 20 fields that break rules; `metadata.violations_total` counts them all. */
  readonly violations: readonly Violation[]
  /** How long the service asks to wait before the next try. */
  readonly retryAfterMs: number | undefined
  /** The call's `x-request-id`, the same over its attempts: what the service's log and its events' `correlationid` show. */
  readonly requestId: string

  constructor(message: string, fields: ErrorFields) {
    super(message, fields.cause === undefined ? {} : { cause: fields.cause })
    this.code = fields.code
    this.reason = fields.reason
    this.metadata = fields.metadata ?? {}
    this.violations = fields.violations ?? []
    this.retryAfterMs = fields.retryAfterMs
    this.requestId = fields.requestId
  }
}

/** How grpc-js reports a call that failed. */
interface CallFailure {
  readonly code: number
  readonly details: string
  readonly metadata?: Metadata
}

const isCallFailure = (value: unknown): value is CallFailure =>
  value instanceof Error && 'code' in value && typeof value.code === 'number' && 'details' in value

/** The typed form of a failed call; anything else (a defect, a wrong argument) comes back as it is. */
export function toError(failure: unknown, requestId: string): unknown {
  if (!isCallFailure(failure)) return failure
  const details = detailsOf(failure)
  const code = (status[failure.code] ?? 'UNKNOWN') as ErrorCode
  // The service names another where ours cannot stand in its log.
  const answered = failure.metadata?.get('x-request-id')[0]
  return new CustomerManagementError(`${details.reason ?? code}: ${failure.details}`, {
    code,
    requestId: typeof answered === 'string' ? answered : requestId,
    ...details,
  })
}

export const cancelled = (message: string, requestId: string, cause?: unknown) =>
  new CustomerManagementError(`CANCELLED: ${message}`, { code: 'CANCELLED', requestId, cause })

function detailsOf(failure: CallFailure) {
  const found: { reason?: string; metadata?: Record<string, string>; violations?: Violation[]; retryAfterMs?: number } = {}
  const bytes = failure.metadata?.get('grpc-status-details-bin')[0]
  if (!(bytes instanceof Uint8Array)) return found
  try {
    for (const { typeUrl, value } of Status.decode(bytes).details) {
      const type = typeUrl.slice(typeUrl.lastIndexOf('/') + 1)
      if (type === ErrorInfo.$type) {
        const info = ErrorInfo.decode(value)
        // A reason of a proxy on the way means something else.
        if (info.domain === 'customer-management') Object.assign(found, { reason: info.reason, metadata: info.metadata })
      } else if (type === BadRequest.$type) {
        found.violations = BadRequest.decode(value).fieldViolations.map(({ field, description }) => ({ field, description }))
      } else if (type === RetryInfo.$type) {
        const { seconds, nanos } = RetryInfo.decode(value).retryDelay ?? { seconds: 0, nanos: 0 }
        found.retryAfterMs = Math.max(0, Math.ceil(seconds * 1_000 + nanos / 1_000_000))
      }
    }
  } catch {
    // Details that cannot be read must not hide the error that they belong to: code and text stand.
  }
  return found
}
