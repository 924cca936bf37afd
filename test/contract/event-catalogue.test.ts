import { readFileSync } from 'node:fs'
import { create, createFileRegistry, type DescExtension, type DescField, fromBinary, hasExtension, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { describe, expect, it } from 'vitest'
import { registry } from '../../server/contract/descriptors.js'
import { eventDefinition, eventTypes } from '../../server/contract/event-catalogue.js'
import { commentOf } from '../../server/contract/source-info.js'

const has = ({ proto }: DescField, option: DescExtension) => proto.options !== undefined && hasExtension(proto.options, option)

describe('event catalogue', () => {
  it('every payload message of the contract is a type, ordered by type', () => {
    const messages = [...registry].filter((it) => it.kind === 'message').filter((it) => it.file.name.endsWith('_events'))
    const payloads = messages.filter((it) => it.fields.some((field) => field.name === 'tenant_id')).map((it) => it.typeName)
    expect(eventTypes.map((it) => it.messageType).sort()).toEqual(payloads.sort())
    expect(eventTypes.map((it) => it.ceType)).toEqual(eventTypes.map((it) => it.ceType).sort())
  })

  it('a type is found by its CloudEvents name and by its message', () => {
    const created = eventDefinition('com.enterprise.customer.tenant.created.v1')
    expect(created).toMatchObject({
      type: 'tenant.created',
      messageType: 'customer.tenant.v1.TenantCreated',
      stream: 'domain',
      classification: 'confidential',
      dataschema: 'urn:customer-management:event:com.enterprise.customer.tenant.created.v1',
    })
    expect(eventDefinition('customer.tenant.v1.TenantCreated')).toBe(created)
    expect(eventDefinition('tenant.created')).toBeUndefined()
    expect(eventDefinition('customer.tenant.v1.Tenant')).toBeUndefined()
  })

  it('every type has a description, from the comment of its message', () => {
    for (const { description, type } of eventTypes) expect(description, type).toMatch(/^[A-Z].{10,}\.$/)
    expect(eventDefinition('customer.tenant.v1.TenantResumed')?.description).toBe('A suspended tenant is ACTIVE again.')
  })

  it('payloads hold no field that is marked as personal or secret, and none of a resource', () => {
    const personal = registry.getExtension('customer.policy.v1.personal')!
    const secret = registry.getExtension('customer.policy.v1.secret')!
    for (const { desc, type } of eventTypes) {
      const seen = new Set([desc])
      for (const message of seen) {
        for (const field of message.fields) {
          expect(has(field, personal) || has(field, secret), `${type}: ${message.typeName}.${field.name}`).toBe(false)
          if (field.message) seen.add(field.message)
        }
        expect(['Tenant', 'Contacts', 'Invitation', 'User', 'Role'].includes(message.name), `${type} holds a ${message.name}`).toBe(false)
      }
    }
  })

  it('names of people’s data occur in no payload but tenant.*', () => {
    const names = /email|name|locale|external_id|attribute|reason|phone|description/
    const exceptions = new Set(['customer.tenant.v1.TenantContacts', 'customer.event.v1.EventParked'])
    for (const { desc, type } of eventTypes) {
      const allowed = type.startsWith('tenant.') ? ['display_name'] : []
      const found = [desc, ...desc.fields.flatMap((field) => field.message ?? [])]
        .filter((message) => !exceptions.has(message.typeName))
        .flatMap((message) => message.fields.map((field) => field.name).filter((name) => names.test(name) && !allowed.includes(name)))
      expect(found, type).toEqual([])
    }
  })

  it('a descriptor without source info gives empty descriptions, and nothing fails', () => {
    const set = fromBinary(FileDescriptorSetSchema, readFileSync(new URL('../../gen/descriptor.binpb', import.meta.url)))
    const bare = create(FileDescriptorSetSchema, { file: set.file.map(({ sourceCodeInfo, ...file }) => file) })
    const without = createFileRegistry(fromBinary(FileDescriptorSetSchema, toBinary(FileDescriptorSetSchema, bare)))
    expect(commentOf(without.getMessage('customer.tenant.v1.TenantCreated')!)).toBe('')
  })
})
