import { create, fromJson, toJson } from '@bufbuild/protobuf'
import { reflect } from '@bufbuild/protobuf/reflect'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { eventDefinition, eventTypes } from '../../server/contract/event-catalogue.js'
import { jsonExampleOf } from '../../server/contract/json-example.js'
import { jsonSchemaOf } from '../../server/contract/json-schema.js'

const written = { useProtoFieldName: true, alwaysEmitImplicit: true }
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

function validatorOf(schema: object) {
  const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true })
  ajv.addFormat('date-time', rfc3339)
  return ajv.compile(schema)
}
const schemaOf = (name: string) => {
  const it = eventDefinition(name)!
  return jsonSchemaOf(it.desc, { id: it.dataschema, description: it.description })
}

describe.each(eventTypes.map((it) => [it.type, it] as const))('%s', (_type, { desc, dataschema, description }) => {
  const schema = jsonSchemaOf(desc, { id: dataschema, description })
  const validate = validatorOf(schema)

  it('its example fits its schema, and is what toJson writes', () => {
    const example = jsonExampleOf(desc)
    expect(validate(example), JSON.stringify(validate.errors)).toBe(true)
    expect(toJson(desc, fromJson(desc, example as never), written)).toEqual(example)
  })

  it('what toJson writes of an empty message misses nothing that is required', () => {
    const empty = toJson(desc, create(desc), written)
    validate(empty)
    expect((validate.errors ?? []).filter(({ keyword }) => keyword === 'required' || keyword === 'type')).toEqual([])
    const required = (schema as { required: string[] }).required
    expect(Object.keys(empty as object).sort()).toEqual([...required].sort())
  })

  it('every field of the message has its property', () => {
    const properties = (schema as { properties: object }).properties
    expect(Object.keys(properties)).toEqual([...reflect(desc).fields].map((field) => field.name))
  })

  it('a schema fits into the answer of GetEventType', () => {
    expect(Buffer.byteLength(JSON.stringify(schema))).toBeLessThan(65_536)
  })
})

describe('schema of tenant.updated', () => {
  const validate = validatorOf(schemaOf('customer.tenant.v1.TenantUpdated'))
  const example = jsonExampleOf(eventDefinition('customer.tenant.v1.TenantUpdated')!.desc)
  const refused = (change: object) => {
    expect(validate({ ...example, ...change })).toBe(false)
    return validate.errors!.map(({ instancePath, keyword }) => `${instancePath} ${keyword}`)
  }

  it.each([
    ['/tenant_id pattern', { tenant_id: 'tnt_ACME' }],
    ['/slug maxLength', { slug: 'a'.repeat(64) }],
    ['/state enum', { state: 'ACTIVE' }],
    ['/create_time format', { create_time: 'yesterday' }],
    ['/changed_fields maxItems', { changed_fields: Array.from({ length: 11 }, () => 'plan') }],
    ['/changed_fields/0 maxLength', { changed_fields: ['x'.repeat(41)] }],
    ['/labels maxProperties', { labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, 'v'])) }],
    ['/labels/tier type', { labels: { tier: 1 } }],
    ['/contacts/billing_email maxLength', { contacts: { billing_email: 'b'.repeat(321), security_email: '' } }],
    [' required', { slug: undefined }],
  ])('refuses: %s', (expected, change) => {
    expect(refused(change)).toContain(expected)
  })

  it('lengths count characters, not UTF-16 units', () => {
    expect(validate({ ...example, display_name: '😀'.repeat(200) })).toBe(true)
    expect(validate({ ...example, display_name: '😀'.repeat(201) })).toBe(false)
  })

  it('a field of a later version is allowed', () => {
    expect(validate({ ...example, added_later: 1 })).toBe(true)
  })
})
