import { type DescMethod, getExtension, hasExtension, type Message } from '@bufbuild/protobuf'
import { pathOf, registry, services } from './descriptors.js'
import type { MethodPolicy } from './policy.js'

type Scope = MethodPolicy['scopes'][number]
type RateClass = MethodPolicy['rateClass']

/** The option's message as protobuf-es reads it: enums are numbers. */
interface PolicyOption extends Message {
  readonly permissions: readonly string[]
  readonly scopes: readonly number[]
  readonly auditAction: string
  readonly rateClass: number
  readonly whileDeleted: boolean
}

const verbNoun = /^[a-z]+(-[a-z]+)+$/
const nounVerb = /^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/
const alone: readonly Scope[] = ['PUBLIC', 'AUTHENTICATED']

const extension = registry.getExtension('customer.policy.v1.policy')
if (!extension) throw new Error('no customer.policy.v1.policy in the descriptor')

/** The bare name of an enum's number (`TENANT`); '' for UNSPECIFIED and for a number that the enum does not know. */
function bareName(enumName: string, prefix: string, number: number): string {
  const value = registry.getEnum(enumName)?.value[number]
  return value && number !== 0 ? value.name.slice(prefix.length) : ''
}

/** What is wrong with a method's policy; empty: nothing. */
export function policyProblems(method: DescMethod): string[] {
  const options = method.proto.options
  if (!options || !hasExtension(options, extension!)) return ['declares no policy']
  const { permissions, scopes, auditAction, rateClass } = read(method)
  const mutates = rateClass === 'WRITE' || rateClass === 'ONBOARD'
  const open = scopes.some((it) => alone.includes(it))
  const problems = [
    scopes.length === 0 || scopes.some((it) => (it as string) === '') ? 'has no scope, or an unknown one' : '',
    (rateClass as string) === '' ? 'has no rate class' : '',
    open && scopes.length > 1 ? 'PUBLIC and AUTHENTICATED stand alone' : '',
    open && permissions.length > 0 ? 'PUBLIC and AUTHENTICATED take no permission' : '',
    scopes.includes('SELF') && scopes.includes('PLATFORM') ? 'SELF is never open to the platform' : '',
    (scopes.includes('TENANT') || scopes.includes('PLATFORM')) && permissions.length === 0 ? 'names no permission' : '',
    ...permissions.filter((it) => !verbNoun.test(it)).map((it) => `permission ${JSON.stringify(it)} is no verb-noun`),
    auditAction !== '' && !nounVerb.test(auditAction) ? `audit action ${JSON.stringify(auditAction)} is no noun.verb` : '',
    mutates && auditAction === '' ? 'is a mutation without audit action' : '',
    !mutates && auditAction !== '' ? 'has an audit action, but the rate class of a read' : '',
    (method.methodKind !== 'unary') !== (rateClass === 'STREAM') ? 'rate class STREAM is for streams, and for them alone' : '',
  ]
  return problems.filter((it) => it !== '')
}

function read(method: DescMethod): MethodPolicy {
  const option = getExtension(method.proto.options!, extension!) as PolicyOption
  return {
    permissions: [...option.permissions],
    scopes: option.scopes.map((it) => bareName('customer.policy.v1.Scope', 'SCOPE_', it) as Scope),
    auditAction: option.auditAction,
    rateClass: bareName('customer.policy.v1.RateClass', 'RATE_CLASS_', option.rateClass) as RateClass,
    whileDeleted: option.whileDeleted,
  }
}

/** Throws, naming every RPC of these that lacks a valid policy and why. */
export function assertPolicies(methods: readonly DescMethod[]): void {
  const bad = methods.flatMap((method) => policyProblems(method).map((problem) => `${pathOf(method)} ${problem}`))
  if (bad.length > 0) throw new Error(`policies of the contract:\n  ${bad.join('\n  ')}`)
}

const known = new Map<DescMethod, MethodPolicy>()

/** The policy that an RPC declares. The first call of all checks every RPC of ours, and throws as `assertPolicies` does. */
export function policyOf(method: DescMethod): MethodPolicy {
  if (known.size === 0) {
    const all = services().flatMap((service) => service.methods)
    assertPolicies(all)
    for (const it of all) known.set(it, read(it))
  }
  const policy = known.get(method)
  if (!policy) throw new Error(`${pathOf(method)} is no RPC of this server`)
  return policy
}

/** Whether an RPC writes: it has an audit action. */
export const mutates = (policy: MethodPolicy) => policy.auditAction !== ''

/** Every permission that an RPC of this contract asks for. */
export const declaredPermissions = (): string[] =>
  [...new Set(services().flatMap((service) => service.methods.flatMap((method) => policyOf(method).permissions)))].sort()
