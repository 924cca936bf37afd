import { pino } from 'pino'
import { scrub } from './scrub.js'

export type LogLevel = 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

/** One JSON line a call. Secrets don't belong into fields or messages; what gets there by mistake is struck out (scrub.ts). */
export interface Log {
  info(fields: LogFields, msg: string): void
  warn(fields: LogFields, msg: string): void
  error(fields: LogFields, msg: string): void
}

/** Errors that wrap errors that wrap errors: no deeper. */
const depthMax = 5
const textMax = 4_000

/** @param destination where lines go; stdout, written before the call returns, so that a process that ends has said all. */
export function createLog(level: LogLevel, destination?: { write(line: string): void }): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    // pino would take `err` for an Error, which `plain` has made data of
    serializers: { err: (err: unknown) => err },
    hooks: { streamWrite: scrub },
  }
  const out = destination ? pino(options, destination) : pino(options)
  const writer = (name: LogLevel) => (fields: LogFields, msg: string) => out[name](plain(fields, 0) as object, cut(msg))
  return { info: writer('info'), warn: writer('warn'), error: writer('error') }
}

/** Values that stand under such a name are secret whatever they look like. */
const secretName = /authorization|cookie|passw|secret|token|credential|api.?key|private.?key|on.?behalf.?of|bootstrap/i

/** A copy of plain data, cut where it is deep or long; errors become data too. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cut(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') return undefined
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'no date' : value.toISOString()
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  if (depth > depthMax) return '…'
  if (value instanceof Error) return plainError(value, depth)
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => plain(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, isSecret(name, item) ? '[redacted]' : plain(item, depth + 1)]),
  )
}

function isSecret(name: string, value: unknown): boolean {
  return secretName.test(name) && value !== undefined && value !== null && typeof value !== 'number' && typeof value !== 'boolean'
}

/** Named properties alone: drivers hang statements, parameters and rows on their errors. */
function plainError(err: Error, depth: number): object {
  const { code, reason } = err as { code?: unknown; reason?: unknown }
  return {
    name: err.name,
    message: cut(err.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    stack: typeof err.stack === 'string' ? cut(err.stack) : undefined,
    ...(err.cause === undefined ? {} : { cause: plain(err.cause, depth + 1) }),
    // a connection that was refused on every address of a name has its reasons here and an empty message
    ...(err instanceof AggregateError ? { errors: err.errors.slice(0, 5).map((each) => plain(each, depth + 1)) } : {}),
  }
}

function cut(text: string): string {
  return text.length > textMax ? `${text.slice(0, textMax)}…` : text
}
