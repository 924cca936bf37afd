import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, expect, it } from 'vitest'
import { eventTypes } from '../../../server/contract/event-catalogue.js'
import { theClients } from '../../support/rpc.js'

const clients = theClients()
afterAll(() => clients.close())

it('OK: every type of the contract, ordered, each with a schema that its example fits', async () => {
  const { eventTypes: listed } = await clients.events.listEventTypes({})
  expect(listed.map(({ type }) => type)).toEqual(eventTypes.map(({ ceType }) => ceType))
  for (const it of listed) {
    expect(it).toMatchObject({ topic: 'customer-management.domain.v1', dataschema: `urn:customer-management:event:${it.type}` })
    expect(it.type).toMatch(/^com\.enterprise\.customer\.[a-z-]+\.[a-z-]+\.v1$/)
    expect(it.dataclassification).toMatch(/^(internal|confidential)$/)
    expect(it.description).not.toBe('')
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, formats: { 'date-time': /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ } })
    const fits = ajv.compile(JSON.parse(it.jsonSchema))
    expect(fits(JSON.parse(it.example)), `${it.type}: ${JSON.stringify(fits.errors)}`).toBe(true)
  }
})

it('what carries role mailboxes is confidential, the rest is internal', async () => {
  const { eventTypes: listed } = await clients.events.listEventTypes({})
  for (const { type, dataclassification, jsonSchema } of listed) {
    const carries = JSON.parse(jsonSchema).properties.contacts !== undefined
    expect(dataclassification, type).toBe(carries ? 'confidential' : 'internal')
    if (type.endsWith('.tenant.purged.v1')) expect(carries).toBe(true)
  }
})
