import { readFileSync } from 'node:fs'
import { clone, createFileRegistry, type DescMethod, fromBinary, setExtension } from '@bufbuild/protobuf'
import { type FileDescriptorSet, FileDescriptorSetSchema, type MethodDescriptorProto } from '@bufbuild/protobuf/wkt'
import { describe, expect, it } from 'vitest'
import { pathOf, registry, services } from '../../server/contract/descriptors.js'
import { assertPolicies, policyOf, policyProblems } from '../../server/contract/policies.js'

const compiled = fromBinary(FileDescriptorSetSchema, readFileSync('gen/descriptor.binpb'))
const policy = registry.getExtension('customer.policy.v1.policy')!

/** TenantService's methods in a contract where one of them was changed. */
function changed(name: string, change: (method: MethodDescriptorProto) => void): DescMethod[] {
  const set: FileDescriptorSet = clone(FileDescriptorSetSchema, compiled)
  const service = set.file.flatMap((file) => file.service).find((it) => it.name === 'TenantService')!
  change(service.method.find((it) => it.name === name)!)
  return createFileRegistry(set).getService('customer.tenant.v1.TenantService')!.methods
}
const getTenant = (fields: Record<string, unknown>) =>
  changed('GetTenant', (method) => {
    const base = { permissions: ['view-tenant'], scopes: [4], auditAction: '', rateClass: 1, whileDeleted: false }
    setExtension(method.options!, policy, { $typeName: 'customer.policy.v1.Policy', ...base, ...fields } as never)
  }).find((it) => it.name === 'GetTenant')!

describe('policies', () => {
  it('every RPC of ours has a valid one', () => {
    const all = services().flatMap((service) => service.methods)
    expect(all.flatMap(policyProblems)).toEqual([])
    expect(policyOf(all.find((it) => pathOf(it) === '/customer.tenant.v1.TenantService/SuspendTenant')!)).toEqual({
      permissions: ['platform-manage-tenants'],
      scopes: ['PLATFORM'],
      auditAction: 'tenant.suspend',
      rateClass: 'WRITE',
      whileDeleted: false,
    })
  })

  it('no start: an RPC without a policy is named, and so are all of them', () => {
    const methods = changed('GetTenant', (method) => {
      delete method.options
    })
    const more = methods.map((it) =>
      it.name === 'ListTenants' ? { ...it, proto: { ...it.proto, options: undefined } } : it,
    ) as DescMethod[]
    expect(() => assertPolicies(more)).toThrow(
      /TenantService\/GetTenant declares no policy\n\s+\/customer.tenant.v1.TenantService\/ListTenants declares no policy$/,
    )
  })

  const wrong: [string, Record<string, unknown>][] = [
    ['has no scope, or an unknown one', { scopes: [] }],
    ['has no scope, or an unknown one', { scopes: [0] }],
    ['has no scope, or an unknown one', { scopes: [99] }],
    ['has no rate class', { rateClass: 0 }],
    ['names no permission', { permissions: [] }],
    ['permission "viewTenant" is no verb-noun', { permissions: ['viewTenant'] }],
    ['permission "*" is no verb-noun', { permissions: ['*'] }],
    ['PUBLIC and AUTHENTICATED stand alone', { scopes: [2, 4] }],
    ['PUBLIC and AUTHENTICATED take no permission', { scopes: [1] }],
    ['SELF is never open to the platform', { scopes: [3, 5] }],
    ['is a mutation without audit action', { rateClass: 3 }],
    ['has an audit action, but the rate class of a read', { auditAction: 'tenant.get' }],
    ['audit action "Get" is no noun.verb', { auditAction: 'Get', rateClass: 3 }],
    ['rate class STREAM is for streams, and for them alone', { rateClass: 5 }],
  ]
  for (const [problem, fields] of wrong) {
    it(`no start: ${JSON.stringify(fields)}`, () => expect(policyProblems(getTenant(fields))).toContain(problem))
  }
})
