// The package's entry point `./events`.
export type * from '../../../../gen/event-types.js'
export { type ConsumerOptions, createConsumer, type EventConsumer } from './consumer.js'
export type { KafkaRecord } from './decode.js'
export type { CustomerEvent, EventAttributes, KnownEvent, Stream, UnknownEvent } from './event.js'
export { ConsumerError, type Gap, type Handlers, type Poison, type Position } from './intake.js'
