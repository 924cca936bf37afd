import type { EventStream } from '../../contract/event-catalogue.js'

/** `platform.events`: outbox and archive in one. Rows are inserted by `platform.publish` alone, and never touched again. */
export interface EventsTable {
  tenant_id: string
  stream: EventStream
  /** bigint, as text; without gaps in its tenant and stream. */
  sequence: string
  time: Date
  id: string
  /** CloudEvents type. */
  type: string
  subject: string
  /** JSON as it was made. */
  payload: string
  traceparent: string
  correlation_id: string
  causation_id: string
}

declare module '../../db/tables.js' {
  interface PlatformTables {
    events: EventsTable
  }
}
