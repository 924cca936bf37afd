import type { EventStream } from '../../contract/event-catalogue.js'

/** `platform.dead_letters`: what could not be sent, whole; written by the relay alone. */
export interface DeadLettersTable {
  tenant_id: string
  stream: EventStream
  /** bigint, as text. */
  sequence: string
  event_id: string
  type: string
  reason: string
  detail: string
  time: Date
  subject: string
  payload: string
  traceparent: string
  correlation_id: string
  causation_id: string
  create_time: Date
  redrive_time: Date | null
}

/** `platform.redrives`: letters that are to be sent once more; a row leaves with the attempt. */
export interface RedrivesTable {
  tenant_id: string
  stream: EventStream
  sequence: string
  replay_id: string
}

declare module '../../db/tables.js' {
  interface PlatformTables {
    dead_letters: DeadLettersTable
    redrives: RedrivesTable
  }
}
