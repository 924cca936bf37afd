import type { DescEnum, DescEnumValue, DescField, DescFile, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf'

export type Described = DescService | DescMethod | DescField | DescMessage | DescEnum | DescEnumValue

const fileOf = (at: Described): DescFile => ('file' in at ? at.file : at.parent.file)

/** As descriptor.proto numbers its fields. */
function pathTo(at: Described): number[] {
  switch (at.kind) {
    case 'service':
      return [6, at.file.services.indexOf(at)]
    case 'rpc':
      return [...pathTo(at.parent), 2, at.parent.methods.indexOf(at)]
    case 'field':
      return [...pathTo(at.parent), 2, at.parent.fields.indexOf(at)]
    case 'enum_value':
      return [...pathTo(at.parent), 2, at.parent.values.indexOf(at)]
    case 'message':
      return at.parent ? [...pathTo(at.parent), 3, at.parent.nestedMessages.indexOf(at)] : [4, at.file.messages.indexOf(at)]
    case 'enum':
      return at.parent ? [...pathTo(at.parent), 4, at.parent.nestedEnums.indexOf(at)] : [5, at.file.enums.indexOf(at)]
  }
}

function locationOf(at: Described) {
  const path = pathTo(at).join()
  return fileOf(at).proto.sourceCodeInfo?.location.find((it) => it.path.join() === path)
}

/** `proto/customer/tenant/v1/tenant.proto:12`. */
export const placeOf = (at: Described): string => `proto/${fileOf(at).proto.name}:${(locationOf(at)?.span[0] ?? 0) + 1}`

/** The comment above it, line by line, each with the space that it begins with; '' where the descriptor has none. */
export const linesOf = (at: Described): string => locationOf(at)?.leadingComments ?? ''

/** The comment above it, as one paragraph. */
export const commentOf = (at: Described): string => linesOf(at).split(/\s+/).join(' ').trim()
