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

/** Of the serving process. */
export interface CallLog extends Log {
  /** The line of a call, at level info: flat, and bounded by whoever calls, so it goes the short way; pino's took half of what all layers take. */
  call(fields: Readonly<Record<string, string | number | boolean>>): void
}

/** Errors that wrap errors that wrap errors: no deeper. */
const depthMax = 5
const textMax = 4_000

/** @param destination where lines go; else stdout */
export function createLog(level: LogLevel, destination?: { write(line: string): void }): CallLog {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    // pino would take `err` for an Error, which `plain` has made data of
    serializers: { err: (err: unknown) => err },
    hooks: { streamWrite: scrub },
  }
  const out = destination ? { write: (line: string) => destination.write(line), flush() {} } : stdout()
  const logger = pino(options, out)
  return {
    info: (fields, msg) => logger.info(plain(fields, 0) as object, cut(msg)),
    warn(fields, msg) {
      logger.warn(plain(fields, 0) as object, cut(msg))
      out.flush()
    },
    error(fields, msg) {
      logger.error(plain(fields, 0) as object, cut(msg))
      out.flush()
    },
    call(fields) {
      if (level !== 'info') return
      out.write(scrub(`{"level":"info","time":"${new Date().toISOString()}",${JSON.stringify(fields).slice(1, -1)},"msg":"call"}\n`))
    },
  }
}

const heldBytes = 8192
const heldMs = 100

/**
 * A write costs more than a line, so of a busy process lines leave together: once 8 kB are there, 100 ms after the last write, at once behind a
 * warning or an error, and when the process exits. Only a kill -9 loses what was held.
 */
function stdout() {
  const fd = pino.destination({ fd: 1, sync: true })
  let lines: string[] = []
  let size = 0
  let resting: NodeJS.Timeout | undefined
  const flush = () => {
    if (lines.length === 0) return
    const text = lines.join('')
    lines = []
    size = 0
    fd.write(text)
  }
  const rest = () => {
    resting = setTimeout(() => {
      resting = undefined
      if (lines.length === 0) return
      flush()
      rest()
    }, heldMs).unref()
  }
  process.on('exit', flush)
  return {
    flush,
    write(line: string) {
      lines.push(line)
      size += line.length
      if (resting && size < heldBytes) return
      flush()
      if (!resting) rest()
    },
  }
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
