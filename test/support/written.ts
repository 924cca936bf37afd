import { fromJson } from '@bufbuild/protobuf'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { expect } from 'vitest'
import { eventDefinition } from '../../server/contract/event-catalogue.js'
import { jsonSchemaOf } from '../../server/contract/json-schema.js'
import { theSuperuser } from './rpc.js'

export interface WrittenEvent {
  readonly sequence: number
  readonly time: Date
  readonly id: string
  readonly type: string
  readonly subject: string
  readonly traceparent: string
  readonly correlation_id: string
  readonly data: Record<string, unknown>
}

export interface WrittenEntry {
  readonly seq: number
  readonly time: Date
  readonly entry: Record<string, unknown>
}

/** All that is kept of a tenant. */
export interface Kept {
  readonly events: readonly WrittenEvent[]
  readonly audit: readonly WrittenEntry[]
  /** Its registry row, counters, revisions, roles and invitations, as one text. */
  readonly state: string
}

export const schemaOf = (tenantId: string) => `t_${tenantId.slice(4)}`

/** Reads it all, and holds it against what is always true of it: events of the catalogue, no gaps, no time that runs backwards. */
export async function keptOf(tenantId: string): Promise<Kept> {
  const schema = schemaOf(tenantId)
  const query = async (text: string, values: unknown[] = []) => (await theSuperuser().query(text, values)).rows
  const events = (
    await query('select * from platform.events where tenant_id = $1 and stream = $2 order by sequence', [tenantId, 'domain'])
  ).map(({ sequence, payload, ...row }) => ({ ...row, sequence: Number(sequence), data: JSON.parse(payload) }) as WrittenEvent)
  const audit = (await query(`select * from ${schema}.audit_entries order by audit_seq`)).map(
    ({ audit_seq, time, entry }) => ({ seq: Number(audit_seq), time, entry: JSON.parse(entry) }) as WrittenEntry,
  )
  const [state] = await query(
    `select to_jsonb(t) as tenant, to_jsonb(c) as counters, to_jsonb(s) as own,
      (select jsonb_agg(to_jsonb(r)) from ${schema}.roles r) as roles, (select jsonb_agg(to_jsonb(i)) from ${schema}.invitations i) as invitations
    from platform.tenants t join platform.tenant_counters c on c.tenant_id = t.id, ${schema}.tenant_state s where t.id = $1`,
    [tenantId],
  )
  for (const event of events) expectCatalogued(event, tenantId)
  for (const rows of [events, audit]) {
    expect(rows.map(({ time }) => time)).toEqual(rows.map(({ time }) => time).sort((a, b) => a.getTime() - b.getTime()))
  }
  expect(events.map(({ sequence }) => sequence)).toEqual(upTo(state.counters.domain_sequence))
  expect(audit.map(({ seq }) => seq)).toEqual(upTo(state.counters.audit_seq))
  expect(state.own.access_revision).toBe(state.counters.access_revision)
  return { events, audit, state: JSON.stringify(state) }
}

const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)

export interface Written<A> {
  readonly answer: A
  readonly events: readonly WrittenEvent[]
  readonly audit: readonly WrittenEntry[]
  /** Whether anything at all is kept otherwise than before. */
  readonly changed: boolean
}

/** What the work wrote in a tenant. */
export async function writtenBy<A>(tenantId: string, work: () => Promise<A>): Promise<Written<A>> {
  const before = await keptOf(tenantId)
  const answer = await work()
  const after = await keptOf(tenantId)
  return {
    answer,
    events: after.events.slice(before.events.length),
    audit: after.audit.slice(before.audit.length),
    changed: JSON.stringify(after) !== JSON.stringify(before),
  }
}

/** The work's answer; fails if it wrote anything in the tenant. */
export async function writingNothing<A>(tenantId: string, work: () => Promise<A>): Promise<A> {
  const { answer, ...rest } = await writtenBy(tenantId, work)
  expect(rest).toEqual({ events: [], audit: [], changed: false })
  return answer
}

const validators = new Map<string, ValidateFunction>()
const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true })
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)

function expectCatalogued({ id, type, data }: WrittenEvent, tenantId: string) {
  const definition = eventDefinition(type)
  if (!definition) throw new Error(`${type} is not in the catalogue`)
  const { desc, dataschema, description } = definition
  const validate = validators.get(type) ?? ajv.compile(jsonSchemaOf(desc, { id: dataschema, description }))
  validators.set(type, validate)
  expect(validate(data), `${type}: ${JSON.stringify(validate.errors)}`).toBe(true)
  expect(() => fromJson(desc, data as never), `${type} has a field that its message does not`).not.toThrow()
  expect(data['tenant_id']).toBe(tenantId)
  expect(id).toMatch(/^evt_[0-9a-z]{26}$/)
}
