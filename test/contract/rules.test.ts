import { readFileSync } from 'node:fs'
import { clearExtension, createFileRegistry, type DescField, type DescMessage, fromBinary } from '@bufbuild/protobuf'
import { type FileDescriptorSet, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { field as fieldRules, type StringRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { describe, expect, it } from 'vitest'
import { pathOf, registry, services } from '../../server/contract/descriptors.js'
import { eventTypes } from '../../server/contract/event-catalogue.js'
import { rulesOf } from '../../server/contract/json-schema.js'
import { mutates, policyOf } from '../../server/contract/policies.js'
import { linesOf } from '../../server/contract/source-info.js'

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

const line = (comment: string, name: string) => new RegExp(`^ ${name}: (.+)\\.$`, 'm').exec(comment)?.[1]

describe.each(methods.map((it) => [pathOf(it), it] as const))('the comment of %s', (_, method) => {
  const comment = linesOf(method)
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
