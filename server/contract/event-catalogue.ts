import { type DescMessage, getExtension, hasExtension, type Message } from '@bufbuild/protobuf'
import { registry } from './descriptors.js'
import { commentOf } from './source-info.js'

export type EventStream = 'domain' | 'security' | 'platform'

/** One type of event: a payload message of the contract that carries the option `customer.policy.v1.event`. */
export interface EventDefinition {
  /** `tenant.created`. */
  readonly type: string
  /** CloudEvents type: `com.enterprise.customer.tenant.created.v1`. */
  readonly ceType: string
  /** Full name of the payload message. */
  readonly messageType: string
  readonly stream: EventStream
  readonly classification: 'internal' | 'confidential'
  /** The message's comment in the contract. */
  readonly description: string
  /** `urn:customer-management:event:<ceType>`. */
  readonly dataschema: string
  readonly desc: DescMessage
}

interface EventOption extends Message {
  readonly type: string
  readonly stream: number
  readonly classification: number
}

const option = registry.getExtension('customer.policy.v1.event')
if (!option) throw new Error('no customer.policy.v1.event in the descriptor')

/** An enum value's bare name in lower case (`domain`); throws for UNSPECIFIED and for a number that the enum does not know. */
function bareName(enumName: string, prefix: string, number: number, of: string): string {
  const value = registry.getEnum(enumName)?.value[number]
  if (!value || number === 0) throw new Error(`${of}: its event option has no valid ${enumName}`)
  return value.name.slice(prefix.length).toLowerCase()
}

function define(desc: DescMessage): EventDefinition {
  const { type, stream, classification } = getExtension(desc.proto.options!, option!) as EventOption
  if (!/^[a-z-]+\.[a-z-]+$/.test(type)) throw new Error(`${desc.typeName}: ${JSON.stringify(type)} is no event type`)
  const ceType = `com.enterprise.customer.${type}.v1`
  return {
    type,
    ceType,
    messageType: desc.typeName,
    stream: bareName('customer.policy.v1.Stream', 'STREAM_', stream, desc.typeName) as EventStream,
    classification: bareName('customer.policy.v1.DataClassification', 'DATA_CLASSIFICATION_', classification, desc.typeName) as
      | 'internal'
      | 'confidential',
    description: commentOf(desc),
    dataschema: `urn:customer-management:event:${ceType}`,
    desc,
  }
}

/** Every event that this service may emit, ordered by type. */
export const eventTypes: readonly EventDefinition[] = [...registry]
  .filter((it) => it.kind === 'message')
  .filter((it) => it.proto.options !== undefined && hasExtension(it.proto.options, option))
  .map(define)
  .sort((a, b) => (a.ceType < b.ceType ? -1 : 1))

const byName = new Map(eventTypes.flatMap((it) => [[it.ceType, it] as const, [it.messageType, it] as const]))
if (byName.size !== 2 * eventTypes.length) throw new Error('two event messages of the contract declare the same type')

/** By CloudEvents type or by the full name of the payload message; undefined if there is none. */
export const eventDefinition = (name: string): EventDefinition | undefined => byName.get(name)
