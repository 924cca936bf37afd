// The package's one entry point.
export {
  type DeadLetter,
  DeadLetterState,
  type DeliveryStatus,
  type Event,
  type EventType,
  type Replay,
  ReplayState,
  type TopicDelivery,
} from '../../../gen/customer/event/v1/event.js'
export type {
  GetDeliveryStatusRequest,
  GetEventTypeRequest,
  ListDeadLettersRequest,
  ListDeadLettersResponse,
  ListEventsRequest,
  ListEventsResponse,
  ListEventTypesRequest,
  ListEventTypesResponse,
  RedriveDeadLettersRequest,
  RedriveDeadLettersResponse,
  ReplayEventsRequest,
  WatchEventsRequest,
} from '../../../gen/customer/event/v1/event_service.js'
export {
  type PlatformApiKey,
  PlatformApiKeyState,
  type PlatformServiceAccount,
  PlatformServiceAccountState,
} from '../../../gen/customer/platform/v1/platform_account.js'
export type {
  CreatePlatformApiKeyRequest,
  CreatePlatformServiceAccountRequest,
  DeletePlatformServiceAccountRequest,
  GetPlatformServiceAccountRequest,
  ListPlatformApiKeysRequest,
  ListPlatformApiKeysResponse,
  ListPlatformServiceAccountsRequest,
  ListPlatformServiceAccountsResponse,
  ResumePlatformServiceAccountRequest,
  RevokePlatformApiKeyRequest,
  SuspendPlatformServiceAccountRequest,
  UpdatePlatformServiceAccountRequest,
} from '../../../gen/customer/platform/v1/platform_account_service.js'
export type { GetServerInfoRequest, ServerInfo } from '../../../gen/customer/platform/v1/platform_service.js'
export { type Contacts, type Tenant, TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
export {
  type CreateTenantRequest,
  type DeleteTenantRequest,
  type GetTenantRequest,
  type ListTenantsRequest,
  type ListTenantsResponse,
  type ResolveTenantRequest,
  type ResumeTenantRequest,
  type SuspendTenantRequest,
  TenantOrder,
  type UndeleteTenantRequest,
  type UpdateTenantRequest,
} from '../../../gen/customer/tenant/v1/tenant_service.js'
export { type ClientOptions, type CustomerManagementClient, createClient, type TlsOptions } from './client.js'
export { CustomerManagementError, type ErrorCode, type ErrorReason, type Violation } from './error.js'
export type { Input } from './input.js'
export type { Listing } from './listing.js'
export type { CallOptions } from './transport.js'
export type { WatchOptions } from './watch.js'
