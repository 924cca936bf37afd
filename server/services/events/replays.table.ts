import type { Selectable } from 'kysely'

/** `platform.replays`: domain events of one tenant that are sent once more; moved on by the replay job alone. Sequences are bigint, as text. */
export interface ReplaysTable {
  id: string
  tenant_id: string
  after_sequence: string
  until_sequence: string
  /** The broker has those up to it. */
  position: string
  state: 'QUEUED' | 'RUNNING' | 'DONE' | 'FAILED'
  create_time: Date
  update_time: Date
  end_time: Date | null
}

export type ReplayRow = Selectable<ReplaysTable>

declare module '../../db/tables.js' {
  interface PlatformTables {
    replays: ReplaysTable
  }
}
