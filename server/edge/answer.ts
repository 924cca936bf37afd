import type { ServerResponse } from 'node:http'
import type { Reason } from '../rpc/fault.js'

export type EdgeReason = Reason | 'INTERNAL'

/** An error of the edge or of the service behind it. */
export interface EdgeError {
  readonly status: number
  /** gRPC's. */
  readonly code: number
  readonly message: string
  readonly details: readonly unknown[]
}

const names = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]
const statuses: Readonly<Record<number, number>> = {
  1: 499,
  3: 400,
  4: 504,
  5: 404,
  6: 409,
  7: 403,
  8: 429,
  9: 400,
  10: 409,
  11: 400,
  14: 503,
  16: 401,
}

/** The HTTP status that Kong gives to a gRPC code. */
export const statusOfCode = (code: number) => statuses[code] ?? 500

export const refused = (
  status: number,
  code: number,
  reason: EdgeReason,
  message: string,
  metadata: Readonly<Record<string, string>> = {},
): EdgeError => ({
  status,
  code,
  message,
  details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'customer-management', metadata }],
})

/** What a browser may read of any answer here; there are no cookies. */
export function allowed(response: ServerResponse): void {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-expose-headers', 'x-request-id, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after')
}

/** The one shape of all errors: gRPC's code and its name, a text, and google.rpc's details as JSON. */
export const errorBody = ({ code, message, details }: EdgeError) => ({ code, status: names[code] ?? 'UNKNOWN', message, details })

/** `until`: the answer goes at once, and the connection stays open so long. */
export const sendError = (response: ServerResponse, error: EdgeError, until?: Promise<void>) =>
  send(response, error.status, JSON.stringify(errorBody(error)), until)

export const sendAnswer = (response: ServerResponse, json: string) => send(response, 200, json)

export const sendJson = (response: ServerResponse, status: number, body: object) => send(response, status, JSON.stringify(body))

function send(response: ServerResponse, status: number, text: string, until?: Promise<void>): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  const body = response.req.method === 'HEAD' ? '' : text
  if (!until) return void response.end(body)
  response.write(body)
  void until.then(() => response.end())
}
