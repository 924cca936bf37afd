import { readFileSync } from 'node:fs'
import { create, createFileRegistry, fromBinary, fromJson, setExtension, toBinary, toJson } from '@bufbuild/protobuf'
import { FieldOptionsSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { expect, it } from 'vitest'
import { pathOf, registry, services } from '../../server/contract/descriptors.js'
import { mutates, policyOf } from '../../server/contract/policies.js'
import { holdsSecrets, withoutSecrets } from '../../server/contract/secrets.js'

it('C-005 the answers that can hold secrets are those of platform API keys, and no others', () => {
  const methods = services().flatMap((service) => service.methods)
  const holding = methods.filter((method) => holdsSecrets(method.output) && mutates(policyOf(method))).map(pathOf)
  expect(holding).toEqual([
    '/customer.platform.v1.PlatformAccountService/CreatePlatformApiKey',
    '/customer.platform.v1.PlatformAccountService/RevokePlatformApiKey',
  ])
})

it('C-005 a secret is struck wherever it stands, and nothing else is', () => {
  const set = fromBinary(FileDescriptorSetSchema, readFileSync('gen/descriptor.binpb'))
  const contacts = set.file.flatMap((file) => file.messageType).find(({ name }) => name === 'Contacts')!
  const field = contacts.field.find(({ name }) => name === 'billing_email')!
  field.options ??= create(FieldOptionsSchema)
  setExtension(field.options, registry.getExtension('customer.policy.v1.secret')!, true)
  const changed = createFileRegistry(set)
  const list = changed.getMessage('customer.tenant.v1.ListTenantsResponse')!
  const page = (contactsOfOne: object) => ({
    tenants: [{ slug: 'acme', labels: { a: 'b' }, contacts: contactsOfOne }, { slug: 'globex' }],
    nextPageToken: 'next',
  })
  const whole = page({ billingEmail: 'secret@acme.example', securityEmail: 'open@acme.example' })
  const struck = withoutSecrets(list, toBinary(list, fromJson(list, whole as never)))
  expect(toJson(list, fromBinary(list, struck))).toEqual(page({ securityEmail: 'open@acme.example' }))
  expect(holdsSecrets(list)).toBe(true)
  expect(holdsSecrets(changed.getMessage('customer.tenant.v1.ResumeTenantRequest')!)).toBe(false)
})
