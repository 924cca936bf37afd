import { fromJson } from '@bufbuild/protobuf'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { eventDefinition } from '../../server/contract/event-catalogue.js'
import { jsonSchemaOf } from '../../server/contract/json-schema.js'
import type { NewEvent } from '../../server/db/tx.js'
import { appendEvent, type PayloadEvent } from '../../server/outbox/append.js'
import { invitationCreated } from '../../server/services/invitations/invitations.events.js'
import * as tenants from '../../server/services/tenants/tenants.events.js'

const actor = { type: 'platform-service-account', id: 'psa_01jd3y5v7hfkx9m2qw8zr4tn6b' }
const row: tenants.TenantEventFields = {
  id: 'tnt_01jd3y5v7hfkx9m2qw8zr4tn6b',
  slug: 'acme',
  display_name: 'Acme Ltd',
  state: 'ACTIVE',
  plan: 'standard',
  region: 'default',
  labels: { tier: 'gold' },
  billing_email: '',
  security_email: 'security@acme.example',
  create_time: new Date('2026-11-25T10:00:00.123Z'),
  suspend_time: null,
  delete_time: null,
  purge_time: null,
}
const deleted = {
  ...row,
  state: 'DELETED' as const,
  delete_time: new Date('2026-11-26T00:00:00Z'),
  purge_time: new Date('2026-12-26T00:00:00Z'),
}

function emitted<T>(event: PayloadEvent<T>): NewEvent {
  const events: NewEvent[] = []
  appendEvent({ emit: (it) => events.push(it) as unknown as undefined }, event)
  expect(events).toHaveLength(1)
  return events[0]!
}

describe('appendEvent', () => {
  it('names as in the proto, enums in full, empty values shown, unset times left out', () => {
    const { payload, ...rest } = emitted(tenants.tenantCreated(row, actor))
    expect(rest).toEqual({ stream: 'domain', type: 'com.enterprise.customer.tenant.created.v1', subject: '' })
    expect(JSON.parse(payload)).toEqual({
      tenant_id: row.id,
      slug: 'acme',
      display_name: 'Acme Ltd',
      state: 'TENANT_STATE_ACTIVE',
      plan: 'standard',
      region: 'default',
      labels: { tier: 'gold' },
      contacts: { billing_email: '', security_email: 'security@acme.example' },
      create_time: '2026-11-25T10:00:00.123Z',
      actor,
    })
  })

  it('an emptied map shows as {}', () => {
    expect(JSON.parse(emitted(tenants.tenantUpdated({ ...row, labels: {} }, actor, ['labels'])).payload)).toMatchObject({
      labels: {},
      changed_fields: ['labels'],
    })
  })

  it('a column that is no field of the event reaches no payload', () => {
    const wider = { ...row, suspend_reason: 'a secret reason', purge_hold: true }
    expect(emitted(tenants.tenantSuspended(wider, actor)).payload).not.toMatch(/secret|purge_hold/)
  })

  it('an invitation is the subject, and its address is nowhere', () => {
    const invitation = {
      id: 'inv_01jd3y5v7hfkx9m2qw8zr4tn6b',
      role_keys: ['tenant-admin'],
      owner: true,
      expire_time: new Date(0),
      email: 'o@acme.example',
    }
    const event = emitted(invitationCreated(row.id, invitation, actor))
    expect(event.subject).toBe(`invitations/${invitation.id}`)
    expect(event.payload).not.toContain('acme.example')
    expect(JSON.parse(event.payload)).toMatchObject({ tenant_id: row.id, invitation_id: invitation.id, owner: true })
  })

  it.each([
    tenants.tenantCreated(row, actor),
    tenants.tenantUpdated(row, actor, ['plan', 'contacts']),
    tenants.tenantSuspended({ ...row, state: 'SUSPENDED', suspend_time: new Date() }, actor),
    tenants.tenantResumed(row, actor),
    tenants.tenantDeleted(deleted, actor),
    tenants.tenantRestored(row, actor),
    invitationCreated(
      row.id,
      { id: 'inv_01jd3y5v7hfkx9m2qw8zr4tn6b', role_keys: ['viewer'], owner: false, expire_time: new Date() },
      actor,
    ),
  ] as PayloadEvent[])('fits its catalogue entry: $message.$type', (event) => {
    const { desc, dataschema, description } = eventDefinition(event.message.$type)!
    const data = JSON.parse(emitted(event).payload)
    const ajv = new Ajv2020({ strict: true })
    ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    const validate = ajv.compile(jsonSchemaOf(desc, { id: dataschema, description }))
    expect(validate(data), JSON.stringify(validate.errors)).toBe(true)
    expect(() => fromJson(desc, data)).not.toThrow()
  })

  it('a message that is no event is refused', () => {
    const message = { $type: 'customer.tenant.v1.Tenant', encode: () => ({ finish: () => new Uint8Array() }) }
    expect(() => emitted({ message, value: {} })).toThrow('customer.tenant.v1.Tenant declares no event')
  })
})
