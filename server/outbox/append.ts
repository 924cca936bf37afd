import { fromBinary, toJsonString } from '@bufbuild/protobuf'
import { eventDefinition } from '../contract/event-catalogue.js'
import type { PlatformTx } from '../db/tx.js'

/** An event as a room's `*.events.ts` makes it: the generated codec of its payload message, and the payload. */
export interface PayloadEvent<T = unknown> {
  readonly message: { readonly $type: string; encode(value: T): { finish(): Uint8Array } }
  readonly value: T
  /** `invitations/inv_…`; left out where the event is about the tenant itself. */
  readonly subject?: string
}

/** The payload as it is stored, sent and shown: JSON with proto field names, empty values included, enums by full name. */
export function payloadOf<T>({ message, value }: PayloadEvent<T>): string {
  const definition = definitionOf(message)
  const payload = fromBinary(definition.desc, message.encode(value).finish())
  return toJsonString(definition.desc, payload, { useProtoFieldName: true, alwaysEmitImplicit: true })
}

/** Emits the event with the transaction: it commits with it or not at all, behind the tenant's counter. */
export function appendEvent<T>(tx: Pick<PlatformTx, 'emit'>, event: PayloadEvent<T>): void {
  const { stream, ceType } = definitionOf(event.message)
  tx.emit({ stream, type: ceType, subject: event.subject ?? '', payload: payloadOf(event) })
}

function definitionOf({ $type }: { readonly $type: string }) {
  const definition = eventDefinition($type)
  if (!definition) throw new Error(`${$type} declares no event`)
  return definition
}
