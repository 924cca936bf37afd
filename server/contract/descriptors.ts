import { readFileSync } from 'node:fs'
import { createFileRegistry, type DescMessage, type DescMethod, type DescService, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'

/** The compiled contract, comments included: all of proto/, third_party/ and google/protobuf. Read once. */
export const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(new URL('../../gen/descriptor.binpb', import.meta.url))),
)

const ours: readonly DescService[] = [...registry].filter((it) => it.kind === 'service').filter((it) => it.typeName.startsWith('customer.'))

/** The services that this server offers, in the order of the descriptor. */
export const services = (): readonly DescService[] => ours

/** The message of a full name (`customer.tenant.v1.Tenant`); throws if there is none. */
export function messageDesc(typeName: string): DescMessage {
  const desc = registry.getMessage(typeName)
  if (!desc) throw new Error(`no message ${typeName} in the descriptor`)
  return desc
}

/** The path of a method on the wire: `/customer.tenant.v1.TenantService/GetTenant`. */
export const pathOf = (method: DescMethod) => `/${method.parent.typeName}/${method.name}`

const byPath = new Map(ours.flatMap((service) => service.methods.map((method) => [pathOf(method), method] as const)))

/** The method of a path; throws if there is none. */
export function methodDesc(path: string): DescMethod {
  const desc = byPath.get(path)
  if (!desc) throw new Error(`no method ${path} in the descriptor`)
  return desc
}
