import type { EventData } from '../../../../gen/event-types.js'

export type Stream = 'domain' | 'security' | 'platform'

/** What an event says about itself: its `ce_` headers; '' where it says nothing. */
export interface EventAttributes {
  /** `evt_…`, the same over every delivery. */
  readonly id: string
  /** `tnt_…`; `platform` where the event belongs to no tenant. */
  readonly tenantId: string
  /** The event's number in its tenant and stream, without gaps from 1: 20 digits, so that it sorts as text. */
  readonly sequence: string
  readonly source: string
  /** What it is about, e.g. `invitations/inv_…`; '' for the tenant itself. */
  readonly subject: string
  /** When it happened: RFC 3339 with microseconds, UTC. */
  readonly time: string
  /** When it was sent to Kafka: RFC 3339 with milliseconds, UTC. */
  readonly recordedtime: string
  readonly dataschema: string
  /** `internal`, or `confidential` where the data holds an organisation's mailboxes. */
  readonly dataclassification: string
  readonly traceparent: string
  /** The `x-request-id` of the call that caused it. */
  readonly correlationid: string
  readonly causationid: string
  /** Of the replay or redrive that sent it once more; '' in the topics of the streams. */
  readonly replayid: string
}

type Known = { readonly [Type in keyof EventData]: EventAttributes & { readonly type: Type; readonly data: EventData[Type] } }

/** An event of a type that this version knows; `type` tells which, and `data` follows it. */
export type KnownEvent = Known[keyof EventData]

/** An event of a type that only a newer service knows. */
export interface UnknownEvent extends EventAttributes {
  readonly type: 'unknown'
  /** Its type as the service wrote it. */
  readonly unknownType: string
  readonly data: Readonly<Record<string, unknown>>
}

export type CustomerEvent = KnownEvent | UnknownEvent
