import type { EventStream } from '../../contract/event-catalogue.js'
import { Fault } from '../../rpc/fault.js'

/** Where a letter lies; its id says the same. */
export interface Place {
  readonly tenant_id: string
  readonly stream: EventStream
  /** Decimal. */
  readonly sequence: string
}

export type DeadLetterState = 'PARKED' | 'REDRIVING' | 'REDRIVEN'

/** Letters that one call may queue by their tenant. */
export const redrivesMax = 10_000

export const deadLetterId = ({ tenant_id, stream, sequence }: Place) => `dlt_${tenant_id.replace(/^tnt_/, '')}_${stream}_${sequence}`

/** @param id of the contract's form */
export function placeOf(id: string): Place {
  const [, tenant, stream, sequence] = id.split('_') as [string, string, EventStream, string]
  return { tenant_id: tenant === 'platform' ? tenant : `tnt_${tenant}`, stream, sequence }
}

/** @throws Fault DEAD_LETTER_NOT_FOUND, naming the first id that none of the letters has */
export function mustHaveAll(ids: readonly string[], found: readonly Place[]): void {
  const known = new Set(found.map(deadLetterId))
  const missing = ids.find((id) => !known.has(id))
  if (missing !== undefined) throw new Fault('DEAD_LETTER_NOT_FOUND', 'there is no such dead letter', { dead_letter_id: missing })
}
