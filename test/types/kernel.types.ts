// Checked by tsc alone: each line below an expectation must not compile.
import { EventServiceService } from '../../gen/customer/event/v1/event_service.js'
import { PlatformServiceService } from '../../gen/customer/platform/v1/platform_service.js'
import type { CreateTenantRequest } from '../../gen/customer/tenant/v1/tenant_service.js'
import type { Handler, StreamHandler } from '../../server/rpc/call.js'
import { type Handlers, implement } from '../../server/rpc/kernel.js'

declare const events: Handlers<typeof EventServiceService>
declare const platform: Handlers<typeof PlatformServiceService>
declare const foreign: Handler<CreateTenantRequest, never>

export const right = () => [implement(EventServiceService, events, []), implement(PlatformServiceService, platform, [])]

// @ts-expect-error a forgotten RPC
export const forgotten = () => implement(PlatformServiceService, {}, [])

const { watchEvents: _, ...fewer } = events
// @ts-expect-error a forgotten RPC, out of a variable
export const forgottenToo = () => implement(EventServiceService, fewer, [])

// @ts-expect-error an extra RPC
export const extra = () => implement(PlatformServiceService, { ...platform, dropEverything: async () => ({}) }, [])

const more = { ...platform, dropEverything: async () => ({}) }
// @ts-expect-error an extra RPC, out of a variable
export const extraToo = () => implement(PlatformServiceService, more, [])

export const wrongAnswer = () =>
  // @ts-expect-error a wrong answer type
  implement(PlatformServiceService, { getServerInfo: async () => ({ name: 'n' }) }, [])

// @ts-expect-error a wrong request type
export const wrongRequest = () => implement(EventServiceService, { ...events, listEvents: foreign }, [])

export const noPromise = () =>
  // @ts-expect-error an answer that is no promise
  implement(EventServiceService, { ...events, listEventTypes: () => ({ eventTypes: [] }) }, [])

export const noStream = () =>
  // @ts-expect-error a unary answer where a stream is due
  implement(EventServiceService, { ...events, watchEvents: async () => ({ events: [], lastSequence: '' }) }, [])

declare const stream: StreamHandler<unknown, { events: []; lastSequence: string }>
// @ts-expect-error a stream where a unary answer is due
export const streamInstead = () => implement(EventServiceService, { ...events, listEvents: stream }, [])
