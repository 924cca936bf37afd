import { type DescField, type DescMessage, fromBinary, getExtension, hasExtension, toBinary } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { registry } from './descriptors.js'

const option = registry.getExtension('customer.policy.v1.secret')
if (!option) throw new Error('no customer.policy.v1.secret in the descriptor')

const isSecret = ({ proto: { options } }: DescField) =>
  options !== undefined && hasExtension(options, option) && getExtension(options, option) === true

const known = new Map<DescMessage, boolean>()

/** Whether a message of this type can hold a field that is marked as secret, however deep. */
export function holdsSecrets(desc: DescMessage): boolean {
  const holds = known.get(desc) ?? search(desc)
  known.set(desc, holds)
  return holds
}

function search(root: DescMessage): boolean {
  const seen = new Set([root])
  for (const { fields } of seen) {
    for (const field of fields) {
      if (isSecret(field)) return true
      if (field.message) seen.add(field.message)
    }
  }
  return false
}

/** The message's bytes without the fields that are marked as secret, however deep. */
export function withoutSecrets(desc: DescMessage, bytes: Uint8Array): Uint8Array {
  const message = fromBinary(desc, bytes)
  strike(reflect(desc, message))
  return toBinary(desc, message)
}

function strike(message: ReflectMessage): void {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue
    if (isSecret(field)) message.clear(field)
    else if (field.fieldKind === 'message') strike(message.get(field))
    else if (field.message) for (const each of message.get(field).values()) strike(each as ReflectMessage)
  }
}
