import type { ErrorReason } from '../../gen/customer/error/v1/reason.js'
import { Code } from '../../gen/google/rpc/code.js'

/** A reason's bare name, as callers see it in ErrorInfo.reason. */
export type Reason = Exclude<Bare<keyof typeof ErrorReason>, 'UNSPECIFIED' | 'INTERNAL'>
type Bare<Name> = Name extends `ERROR_REASON_${infer Rest}` ? Rest : never

/** The gRPC code of each reason; a missing row does not compile. */
export const codeOfReason: Record<Reason | 'INTERNAL', Code> = {
  INTERNAL: Code.INTERNAL,
  CREDENTIAL_MISSING: Code.UNAUTHENTICATED,
  CREDENTIAL_INVALID: Code.UNAUTHENTICATED,
  PERMISSION_MISSING: Code.PERMISSION_DENIED,
  TENANT_FOREIGN: Code.PERMISSION_DENIED,
  FIELD_NOT_ALLOWED: Code.PERMISSION_DENIED,
  TENANT_SUSPENDED: Code.PERMISSION_DENIED,
  FIELD_INVALID: Code.INVALID_ARGUMENT,
  UPDATE_EMPTY: Code.INVALID_ARGUMENT,
  PAGE_TOKEN_INVALID: Code.INVALID_ARGUMENT,
  REQUEST_ID_REUSED: Code.INVALID_ARGUMENT,
  SLUG_RESERVED: Code.INVALID_ARGUMENT,
  SLUG_NOT_CONFIRMED: Code.INVALID_ARGUMENT,
  OPTION_UNKNOWN: Code.INVALID_ARGUMENT,
  CURSOR_EXPIRED: Code.OUT_OF_RANGE,
  CURSOR_AHEAD: Code.OUT_OF_RANGE,
  TENANT_NOT_FOUND: Code.NOT_FOUND,
  EVENT_TYPE_NOT_FOUND: Code.NOT_FOUND,
  ROUTE_NOT_FOUND: Code.NOT_FOUND,
  TENANT_DELETED: Code.FAILED_PRECONDITION,
  TENANT_NOT_DELETED: Code.FAILED_PRECONDITION,
  PURGE_TOO_EARLY: Code.FAILED_PRECONDITION,
  PURGE_HELD: Code.FAILED_PRECONDITION,
  DEAD_LETTER_NOT_FOUND: Code.NOT_FOUND,
  REPLAY_RUNNING: Code.FAILED_PRECONDITION,
  SLUG_TAKEN: Code.ALREADY_EXISTS,
  SLUG_TAKEN_BY_DELETED: Code.ALREADY_EXISTS,
  SLUG_RETIRED: Code.ALREADY_EXISTS,
  ETAG_STALE: Code.ABORTED,
  CONFLICT: Code.ABORTED,
  REQUEST_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
  TENANT_BUSY: Code.RESOURCE_EXHAUSTED,
  AUTH_FAILURES: Code.RESOURCE_EXHAUSTED,
  RATE_LIMITED: Code.RESOURCE_EXHAUSTED,
  TOO_MANY_STREAMS: Code.RESOURCE_EXHAUSTED,
  STREAM_EXPIRED: Code.UNAVAILABLE,
  SHUTTING_DOWN: Code.UNAVAILABLE,
  DEPENDENCY_DOWN: Code.UNAVAILABLE,
  DEADLINE: Code.DEADLINE_EXCEEDED,
  CANCELLED: Code.CANCELLED,
  PLATFORM_SERVICE_ACCOUNT_NOT_FOUND: Code.NOT_FOUND,
  PLATFORM_API_KEY_NOT_FOUND: Code.NOT_FOUND,
  PLATFORM_SERVICE_ACCOUNT_DELETED: Code.FAILED_PRECONDITION,
  LAST_PLATFORM_MANAGER: Code.FAILED_PRECONDITION,
  GRANT_NOT_HELD: Code.PERMISSION_DENIED,
  TARGET_OUTRANKS_CALLER: Code.PERMISSION_DENIED,
}

/** A field that breaks a rule: its path in proto names (`contacts.billing_email`) and why. */
export interface Violation {
  readonly field: string
  readonly description: string
}

interface FaultExtras {
  /** Sent as BadRequest. */
  readonly violations?: readonly Violation[]
  /** Sent as RetryInfo. */
  readonly retryAfterMs?: number
  /** Never sent: for the log. */
  readonly cause?: unknown
}

/** An error on purpose: the only thing that a handler throws. `message` is for the caller; it names no internals. */
export class Fault extends Error {
  override readonly name = 'Fault'
  readonly reason: Reason
  readonly metadata: Readonly<Record<string, string>>
  readonly violations: readonly Violation[]
  readonly retryAfterMs: number | undefined

  constructor(reason: Reason, message: string, metadata: Readonly<Record<string, string>> = {}, extras: FaultExtras = {}) {
    super(message, extras.cause === undefined ? {} : { cause: extras.cause })
    this.reason = reason
    this.metadata = metadata
    this.violations = extras.violations ?? []
    this.retryAfterMs = extras.retryAfterMs
  }
}

/** A field that only the handler can judge. */
export const fieldInvalid = (field: string, description: string) =>
  new Fault('FIELD_INVALID', `${field}: ${description}`, { violations_total: '1' }, { violations: [{ field, description }] })

/** A fault of ours, logged already: the caller sees this text alone. Made by the fault layer and, behind it, the kernel; nobody throws it. */
export class Internal extends Error {
  override readonly name = 'Internal'

  constructor(cause: unknown) {
    super('internal error; the request id finds it in the log', { cause })
  }
}
