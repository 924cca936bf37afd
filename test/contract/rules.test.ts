import { readFileSync } from 'node:fs'
import {
  clearExtension,
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromBinary,
  setExtension,
} from '@bufbuild/protobuf'
import { FieldDescriptorProto_Type, type FileDescriptorSet, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { field as fieldRules, type StringRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { describe, expect, it } from 'vitest'
import { pathOf, registry, services } from '../../server/contract/descriptors.js'
import { eventTypes } from '../../server/contract/event-catalogue.js'
import { rulesOf } from '../../server/contract/json-schema.js'
import { mutates, policyOf } from '../../server/contract/policies.js'
import { bindingsOf, http, meet, misfits } from '../support/bindings.js'

const methods = services().flatMap((service) => service.methods)

const copyOfContract = () => fromBinary(FileDescriptorSetSchema, readFileSync('gen/descriptor.binpb'))
const messageOf = (set: FileDescriptorSet, name: string) => set.file.flatMap((file) => file.messageType).find((it) => it.name === name)!

const bounded = (it: StringRules) =>
  it.maxLen > 0n ||
  it.maxBytes > 0n ||
  it.len > 0n ||
  it.lenBytes > 0n ||
  it.pattern !== '' ||
  it.in.length > 0 ||
  it.wellKnown.case !== undefined

/** Why a field's rules do not bound it; '' where they do, or where nothing needs to. */
function lack(field: DescField, request: boolean): string {
  const rules = rulesOf(field)?.type
  switch (field.fieldKind) {
    case 'message':
      return ''
    case 'enum':
      return rules?.case === 'enum' && rules.value.definedOnly ? '' : 'an enum without defined_only'
    case 'list':
      if (rules?.case === 'repeated' && rules.value.maxItems > 0n) return field.message || rules.value.items ? '' : 'items without a rule'
      return field.message && !request ? '' : 'a list without max_items'
    case 'map':
      if (rules?.case !== 'map' || rules.value.maxPairs === 0n) return 'a map without max_pairs'
      return !request || (rules.value.keys && (field.message || rules.value.values)) ? '' : 'keys or values without a rule'
    case 'scalar':
      if (field.scalar === 8) return ''
      if (rules?.case === undefined) return 'no rule'
      return rules.case !== 'string' || bounded(rules.value) ? '' : 'a string without a bound'
  }
}

/** The fields of these messages, and of all that they hold, that no rule bounds. */
function unbounded(roots: readonly DescMessage[], request: boolean): string[] {
  const seen = new Set(roots)
  const problems: string[] = []
  for (const message of seen) {
    for (const field of message.fields) {
      const problem = lack(field, request)
      if (problem !== '') problems.push(`${message.typeName}.${field.name}: ${problem}`)
      if (field.message?.typeName.startsWith('customer.')) seen.add(field.message)
    }
  }
  return problems
}

describe('C-062 every field has a rule, or is a bool, a message or a time', () => {
  it('in requests', () =>
    expect(
      unbounded(
        methods.map((it) => it.input),
        true,
      ),
    ).toEqual([]))
  it('in answers', () =>
    expect(
      unbounded(
        methods.map((it) => it.output),
        false,
      ),
    ).toEqual([]))
  it('in events', () =>
    expect(
      unbounded(
        eventTypes.map((it) => it.desc),
        false,
      ),
    ).toEqual([]))

  it('one without is named, however deep', () => {
    const set = copyOfContract()
    const strip = (name: string, names: string[]) => {
      for (const field of messageOf(set, name).field)
        if (field.options && names.includes(field.name)) clearExtension(field.options, fieldRules)
    }
    strip('UpdateTenantRequest', ['plan', 'labels', 'purge_hold'])
    strip('Contacts', ['security_email'])
    strip('ListTenantsRequest', ['state', 'page_size'])
    const stripped = createFileRegistry(set).getService('customer.tenant.v1.TenantService')!.methods
    expect(
      unbounded(
        stripped.map((it) => it.input),
        true,
      ).sort(),
    ).toEqual([
      'customer.tenant.v1.Contacts.security_email: no rule',
      'customer.tenant.v1.ListTenantsRequest.page_size: no rule',
      'customer.tenant.v1.ListTenantsRequest.state: an enum without defined_only',
      'customer.tenant.v1.UpdateTenantRequest.labels: a map without max_pairs',
      'customer.tenant.v1.UpdateTenantRequest.plan: no rule',
    ])
  })
})

it('every time is named so, and nothing else is', () => {
  const messages = [...registry].filter((it) => it.kind === 'message' && it.typeName.startsWith('customer.')) as DescMessage[]
  for (const field of messages.flatMap((it) => it.fields)) {
    const isTime = field.message?.typeName === 'google.protobuf.Timestamp'
    expect(field.name.endsWith('_time'), `${field.parent.typeName}.${field.name}`).toBe(isTime)
  }
})

function commentOf(method: DescMethod): string {
  const { file, methods: siblings } = method.parent
  const at = [6, file.services.indexOf(method.parent), 2, siblings.indexOf(method)]
  const place = file.proto.sourceCodeInfo?.location.find(({ path }) => path.length === 4 && path.every((step, i) => step === at[i]))
  return place?.leadingComments ?? ''
}
const line = (comment: string, name: string) => new RegExp(`^ ${name}: (.+)\\.$`, 'm').exec(comment)?.[1]

describe.each(methods.map((it) => [pathOf(it), it] as const))('the comment of %s', (_, method) => {
  const comment = commentOf(method)
  const policy = policyOf(method)
  const has = (name: string) => method.input.fields.some((field) => field.name === name)

  it('begins with a sentence', () => expect(comment).toMatch(/^ [A-Z][^.:]+/))

  it('has its Permission, with every name of the policy', () => {
    const named = line(comment, 'Permission')?.match(/[a-z]+(-[a-z]+)+/g) ?? []
    expect([...named].sort()).toEqual([...policy.permissions].sort())
    if (policy.scopes.includes('AUTHENTICATED')) expect(line(comment, 'Permission')).toBe('any authenticated caller')
  })

  it('has its Errors, each of them a reason, and all that its fields and its policy bring with them', () => {
    const errors = line(comment, 'Errors')
    expect(errors).toBeDefined()
    const named = errors === 'none of its own' ? [] : errors!.split(', ')
    const reasons = registry.getEnum('customer.error.v1.ErrorReason')!.values.map((it) => it.name.replace('ERROR_REASON_', ''))
    expect(named.filter((it) => !reasons.includes(it))).toEqual([])
    const due = [
      has('tenant_id') ? 'TENANT_NOT_FOUND' : '',
      has('tenant_id') && !policy.whileDeleted ? 'TENANT_DELETED' : '',
      has('etag') ? 'ETAG_STALE' : '',
      has('request_id') ? 'REQUEST_ID_REUSED' : '',
      has('page_token') ? 'PAGE_TOKEN_INVALID' : '',
      has('after_sequence') ? 'CURSOR_AHEAD' : '',
      method.methodKind === 'unary' ? '' : 'TOO_MANY_STREAMS',
    ]
    expect(due.filter((it) => it !== '' && !named.includes(it))).toEqual([])
  })

  it('says how fresh a list is', () => {
    if (policy.rateClass === 'LIST') expect(line(comment, 'Consistency')).toBeDefined()
  })

  it('a mutation has a request_id, a request no field `id`', () => {
    expect(has('request_id')).toBe(mutates(policy))
    expect(has('id')).toBe(false)
  })
})

describe('REST', () => {
  it('no binding takes the path of another, in whatever order Kong reads them', () => {
    const bindings = methods.flatMap(bindingsOf)
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
    expect(methods.flatMap((it) => misfits(it).map((what) => `${it.name}: ${what}`))).toEqual([])
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
    )
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
    ['a duration', typed('Tenant', 'create_time', FieldDescriptorProto_Type.MESSAGE, '.google.protobuf.Duration'), 'Tenant.create_time'],
  ])('%s in an answer is named', (_, change, field) =>
    expect(withRule('GetTenant', right, change)).toEqual([`the type of customer.tenant.v1.${field}`]),
  )

  it('a stream is named', () => {
    const streams = (set: FileDescriptorSet) => {
      set.file.flatMap((file) => file.service.flatMap((it) => it.method)).find((it) => it.name === 'GetTenant')!.serverStreaming = true
    }
    expect(withRule('GetTenant', right, streams)).toEqual(['a stream'])
  })
})
