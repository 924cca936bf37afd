import type pg from 'pg'
import { eventRow } from './event-records.js'

export interface Letter {
  readonly sequence: number
  readonly stream?: 'domain' | 'security'
  readonly type?: string
  readonly payload?: string
}

/** Parks letters as a relay does that could not send them: past the code, as the superuser. Their events themselves are not made. */
export async function parkLetters(superuser: pg.Pool, tenantId: string, letters: readonly Letter[]): Promise<void> {
  for (const { sequence, stream = 'domain', ...more } of letters) {
    const row = { ...eventRow(tenantId, sequence), ...more }
    await superuser.query(
      `insert into platform.dead_letters (tenant_id, stream, sequence, event_id, type, reason, detail, time, subject, payload, traceparent,
         correlation_id, causation_id) values ($1, $2, $3, $4, $5, 'refused', 'MESSAGE_TOO_LARGE', $6, $7, $8, '', 'req-test', '')`,
      [tenantId, stream, sequence, row.id, row.type, row.time, row.subject, row.payload],
    )
  }
}

export const letterId = (tenantId: string, sequence: number, stream = 'domain') => `dlt_${tenantId.slice(4)}_${stream}_${sequence}`
