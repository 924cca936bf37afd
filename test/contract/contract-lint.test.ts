import { readFileSync } from 'node:fs'
import { clearExtension, create, createFileRegistry, fromBinary, getExtension, setExtension } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Type, type FileDescriptorSet, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { field as fieldRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { describe, expect, it } from 'vitest'
import { lintContract, misfits } from '../../scripts/contract-lint.js'
import { registry, services } from '../../server/contract/descriptors.js'
import { meet, routesOf } from '../../server/contract/routes.js'

const http = registry.getExtension('google.api.http')!
const methods = services().flatMap((service) => service.methods)

const copyOfContract = () => fromBinary(FileDescriptorSetSchema, readFileSync('gen/descriptor.binpb'))
const messageOf = (set: FileDescriptorSet, name: string) => set.file.flatMap((file) => file.messageType).find((it) => it.name === name)!

describe('REST', () => {
  it('no binding takes the path of another, in whatever order Kong reads them', () => {
    const bindings = routesOf(services())
    expect(bindings.length).toBeGreaterThan(methods.length / 2)
    const pairs = bindings.flatMap((one, i) => bindings.slice(i + 1).map((other) => [one, other] as const))
    expect(pairs.filter(([one, other]) => meet(one, other))).toEqual([])
  })

  it.each([
    ['/v1/tenants/{tenant_id}', '/v1/tenants/{tenant_id}:settings', true],
    ['/v1/tenants/{tenant_id}', '/v1/tenants/mine', true],
    ['/v1/tenants/{tenant_id}', '/v1/tenants/{id}', true],
    ['/v1/tenants/{tenant_id}/users', '/v1/{collection}/all/users', true],
    ['/.well-known/jwks.json', '/.well-known/jwks-json', true],
    ['/v1/tenants/{tenant_id}', '/v1/tenants:resolve', false],
    ['/v1/tenants/{tenant_id}:suspend', '/v1/tenants/{tenant_id}:resume', false],
    ['/v1/tenants/{tenant_id}', '/v1/tenants/{tenant_id}/users', false],
  ])('%s and %s meet: %s', (one, other, expected) => {
    expect(meet({ verb: 'get', path: one }, { verb: 'get', path: other })).toBe(expected)
    expect(meet({ verb: 'get', path: other }, { verb: 'get', path: one })).toBe(expected)
    expect(meet({ verb: 'get', path: one }, { verb: 'post', path: other })).toBe(false)
  })

  it("every binding fits Kong's grpc-gateway", () => {
    expect(lintContract(services())).toEqual([])
  })

  /** What is wrong with an RPC of the tenant service whose binding is this one, after a change to the contract. */
  function withRule(name: string, rule: Record<string, unknown>, change: (set: FileDescriptorSet) => void = () => {}): string[] {
    const set = copyOfContract()
    const method = set.file.flatMap((file) => file.service.flatMap((it) => it.method)).find((it) => it.name === name)!
    setExtension(method.options!, http, create(http.message!, rule))
    change(set)
    return misfits(
      createFileRegistry(set)
        .getService('customer.tenant.v1.TenantService')!
        .methods.find((it) => it.name === name)!,
    ).map((it) => it.what)
  }
  const got = (path: string) => ({ pattern: { case: 'get', value: path } })
  const typed =
    (message: string, name: string, type: FieldDescriptorProto_Type, typeName = '') =>
    (set: FileDescriptorSet) => {
      Object.assign(messageOf(set, message).field.find((it) => it.name === name)!, { type, typeName })
    }

  it.each([
    ['a nested variable', 'GetTenant', got('/v1/tenants/{tenant.id}'), ['path /v1/tenants/{tenant.id}', '{tenant.id} in the path']],
    [
      'a pattern in a variable',
      'GetTenant',
      got('/v1/tenants/{tenant_id=*}'),
      ['path /v1/tenants/{tenant_id=*}', '{tenant_id=*} in the path'],
    ],
    ['a slash at the end', 'GetTenant', got('/v1/tenants/'), ['path /v1/tenants/']],
    ['a path outside /v1', 'GetTenant', got('/tenants'), ['path /tenants']],
    ['a verb after a variable with GET', 'GetTenant', got('/v1/tenants/{tenant_id}:get'), ['GET with a verb behind a variable']],
    ['free text in a path', 'ResumeTenant', { pattern: { case: 'post', value: '/v1/{reason}' }, body: '*' }, ['{reason} in the path']],
    ['a method of its own', 'GetTenant', { pattern: { case: 'custom', value: { kind: 'HEAD', path: '/v1/a' } } }, ['method custom']],
    ['a body with GET', 'GetTenant', { ...got('/v1/tenants'), body: '*' }, ['body "*" of get']],
    ['a field as the body', 'ResumeTenant', { pattern: { case: 'post', value: '/v1/tenants' }, body: 'reason' }, ['body "reason" of post']],
    ['a field as the answer', 'GetTenant', { ...got('/v1/tenants'), responseBody: 'slug' }, ['response_body']],
    [
      'a person, a map and a message in a query',
      'CreateTenant',
      got('/v1/tenants'),
      ['owner_email in the query', 'labels in the query', 'contacts in the query'],
    ],
    ['a wrong one behind a right one', 'GetTenant', { ...got('/v1/tenants'), additionalBindings: [got('/v1/')] }, ['path /v1/']],
  ])('%s is named', (_, name, rule, expected) => expect(withRule(name, rule)).toEqual(expected))

  const right = got('/v1/tenants/{tenant_id}')
  it.each([
    ['a 64-bit number', typed('Tenant', 'schema_version', FieldDescriptorProto_Type.INT64), 'Tenant.schema_version'],
    ['bytes', typed('Contacts', 'billing_email', FieldDescriptorProto_Type.BYTES), 'Contacts.billing_email'],
    ['a duration', typed('Tenant', 'contacts', FieldDescriptorProto_Type.MESSAGE, '.google.protobuf.Duration'), 'Tenant.contacts'],
  ])('%s in an answer is named', (_, change, field) =>
    expect(withRule('GetTenant', right, change)).toEqual([`the type of customer.tenant.v1.${field}`]),
  )

  it('a map whose keys may end in _time is named', () => {
    const free = (set: FileDescriptorSet) =>
      clearExtension(messageOf(set, 'Tenant').field.find((it) => it.name === 'labels')!.options!, fieldRules)
    expect(withRule('GetTenant', right, free)).toEqual(['customer.tenant.v1.Tenant.labels takes keys that end in _time'])
  })

  it.each(['^[a-z_]{1,20}$', '^x\\w*$', '^[^:]+$', '^a.*$', '^\\S+$'])('keys by %s may end in _time', (pattern) => {
    const loose = (set: FileDescriptorSet) => {
      const { options } = messageOf(set, 'Tenant').field.find((it) => it.name === 'labels')!
      const rules = getExtension(options!, fieldRules)
      if (rules.type.case === 'map' && rules.type.value.keys?.type.case === 'string') rules.type.value.keys.type.value.pattern = pattern
      setExtension(options!, fieldRules, rules)
    }
    expect(withRule('GetTenant', right, loose)).toEqual(['customer.tenant.v1.Tenant.labels takes keys that end in _time'])
  })

  it.each([
    '^tnt_[0-9a-z:]{26}$',
    '^tnt_[0-9a-z%]{26}$',
    '^tnt_.{26}$',
    '^tnt_[0-9a-z]{26}(:[a-z]+)?$',
    '^tnt_[!-~]{26}$',
    'tnt_[0-9a-z]{26}',
  ])('ids by %s are not for paths', (pattern) => {
    const loose = (set: FileDescriptorSet) => {
      const { options } = messageOf(set, 'GetTenantRequest').field.find((it) => it.name === 'tenant_id')!
      const rules = getExtension(options!, fieldRules)
      if (rules.type.case === 'string') rules.type.value.pattern = pattern
      setExtension(options!, fieldRules, rules)
    }
    expect(withRule('GetTenant', right, loose)).toEqual(['{tenant_id} in the path'])
  })

  it('a time whose name does not end so is named, and what is called so and is none', () => {
    const rename = (from: string, to: string) => (set: FileDescriptorSet) => {
      messageOf(set, 'Tenant').field.find((it) => it.name === from)!.name = to
    }
    const told = (name: string) => [`customer.tenant.v1.Tenant.${name}: times end in _time, and nothing else does`]
    expect(withRule('GetTenant', right, rename('create_time', 'created'))).toEqual(told('created'))
    expect(withRule('GetTenant', right, rename('plan', 'plan_time'))).toEqual(told('plan_time'))
  })

  it('a DELETE with more than ids, etag, request_id and force is named', () => {
    const rule = { pattern: { case: 'delete', value: '/v1/tenants/{tenant_id}' } }
    expect(withRule('SuspendTenant', rule)).toEqual(['reason in a DELETE: ids, etag, request_id and force alone'])
  })

  it('a PATCH that would take a lost body for an update is named', () => {
    const rule = { pattern: { case: 'patch', value: '/v1/tenants/{tenant_id}' }, body: '*' }
    expect(withRule('SuspendTenant', rule)).toEqual(['a PATCH without UPDATE_EMPTY among its errors'])
  })

  it('the line is that of the RPC or the field, and a shadowed binding is told with both', () => {
    const set = copyOfContract()
    const rpc = (name: string) => set.file.flatMap((file) => file.service.flatMap((it) => it.method)).find((it) => it.name === name)!
    setExtension(
      rpc('SuspendTenant').options!,
      http,
      create(http.message!, { pattern: { case: 'patch', value: '/v1/tenants/{id}' }, body: '*' }),
    )
    typed('Tenant', 'schema_version', FieldDescriptorProto_Type.INT64)(set)
    const lines = lintContract([createFileRegistry(set).getService('customer.tenant.v1.TenantService')!])
    const placeOf = (file: string, text: RegExp) =>
      `proto/customer/tenant/v1/${file}:${
        readFileSync(`proto/customer/tenant/v1/${file}`, 'utf8')
          .split('\n')
          .findIndex((it) => text.test(it)) + 1
      }`
    const suspend = placeOf('tenant_service.proto', /rpc SuspendTenant/)
    const update = placeOf('tenant_service.proto', /rpc UpdateTenant/)
    expect(lines).toContain(`${suspend}: SuspendTenant: {id} in the path`)
    expect(lines).toContain(
      `${placeOf('tenant.proto', /schema_version = /)}: GetTenant: the type of customer.tenant.v1.Tenant.schema_version`,
    )
    expect(lines.at(-1)).toBe(`${update}: UpdateTenant: /v1/tenants/{tenant_id} fits /v1/tenants/{id} of SuspendTenant too`)
  })

  it('a stream is named', () => {
    const streams = (set: FileDescriptorSet) => {
      set.file.flatMap((file) => file.service.flatMap((it) => it.method)).find((it) => it.name === 'GetTenant')!.serverStreaming = true
    }
    expect(withRule('GetTenant', right, streams)).toEqual(['a stream'])
  })
})
