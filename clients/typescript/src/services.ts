import {
  EventServiceService as events,
  GetDeliveryStatusRequest,
  GetEventTypeRequest,
  ListDeadLettersRequest,
  ListEventsRequest,
  ListEventTypesRequest,
  RedriveDeadLettersRequest,
  ReplayEventsRequest,
  WatchEventsRequest,
} from '../../../gen/customer/event/v1/event_service.js'
import {
  CreatePlatformApiKeyRequest,
  CreatePlatformServiceAccountRequest,
  DeletePlatformServiceAccountRequest,
  GetPlatformServiceAccountRequest,
  ListPlatformApiKeysRequest,
  ListPlatformServiceAccountsRequest,
  PlatformAccountServiceService as platformAccounts,
  ResumePlatformServiceAccountRequest,
  RevokePlatformApiKeyRequest,
  SuspendPlatformServiceAccountRequest,
  UpdatePlatformServiceAccountRequest,
} from '../../../gen/customer/platform/v1/platform_account_service.js'
import { GetServerInfoRequest, PlatformServiceService as platform } from '../../../gen/customer/platform/v1/platform_service.js'
import {
  BatchGetTenantsRequest,
  CreateTenantRequest,
  DeleteTenantRequest,
  GetTenantRequest,
  ListTenantsRequest,
  PurgeTenantRequest,
  ResolveTenantRequest,
  ResumeTenantRequest,
  SuspendTenantRequest,
  TenantServiceService as tenants,
  UndeleteTenantRequest,
  UpdateTenantRequest,
} from '../../../gen/customer/tenant/v1/tenant_service.js'
import { GetTenantSettingsRequest, UpdateTenantSettingsRequest } from '../../../gen/customer/tenant/v1/tenant_settings.js'
import { byPageToken, bySequence, wholeInOne } from './listing.js'
import { type Bound, bind, type Faces, list, mutation, read, watch } from './methods.js'
import type { Transport } from './transport.js'

// One line an RPC: what kind of call it is, and the message that it takes.

const tenantFaces = {
  createTenant: mutation(tenants.createTenant, CreateTenantRequest),
  getTenant: read(tenants.getTenant, GetTenantRequest),
  batchGetTenants: read(tenants.batchGetTenants, BatchGetTenantsRequest),
  listTenants: list(tenants.listTenants, ListTenantsRequest, 'tenants', byPageToken),
  resolveTenant: read(tenants.resolveTenant, ResolveTenantRequest),
  updateTenant: mutation(tenants.updateTenant, UpdateTenantRequest),
  suspendTenant: mutation(tenants.suspendTenant, SuspendTenantRequest),
  resumeTenant: mutation(tenants.resumeTenant, ResumeTenantRequest),
  deleteTenant: mutation(tenants.deleteTenant, DeleteTenantRequest),
  undeleteTenant: mutation(tenants.undeleteTenant, UndeleteTenantRequest),
  purgeTenant: mutation(tenants.purgeTenant, PurgeTenantRequest),
  getTenantSettings: read(tenants.getTenantSettings, GetTenantSettingsRequest),
  updateTenantSettings: mutation(tenants.updateTenantSettings, UpdateTenantSettingsRequest),
} satisfies Faces<typeof tenants>

const eventFaces = {
  listEventTypes: list(events.listEventTypes, ListEventTypesRequest, 'eventTypes', wholeInOne),
  getEventType: read(events.getEventType, GetEventTypeRequest),
  listEvents: list(events.listEvents, ListEventsRequest, 'events', bySequence),
  watchEvents: watch(events.watchEvents, WatchEventsRequest),
  replayEvents: mutation(events.replayEvents, ReplayEventsRequest),
  getDeliveryStatus: read(events.getDeliveryStatus, GetDeliveryStatusRequest),
  listDeadLetters: list(events.listDeadLetters, ListDeadLettersRequest, 'deadLetters', byPageToken),
  redriveDeadLetters: mutation(events.redriveDeadLetters, RedriveDeadLettersRequest),
} satisfies Faces<typeof events>

const platformFaces = {
  getServerInfo: read(platform.getServerInfo, GetServerInfoRequest),
} satisfies Faces<typeof platform>

const platformAccountFaces = {
  createPlatformServiceAccount: mutation(platformAccounts.createPlatformServiceAccount, CreatePlatformServiceAccountRequest),
  getPlatformServiceAccount: read(platformAccounts.getPlatformServiceAccount, GetPlatformServiceAccountRequest),
  listPlatformServiceAccounts: list(
    platformAccounts.listPlatformServiceAccounts,
    ListPlatformServiceAccountsRequest,
    'platformServiceAccounts',
    byPageToken,
  ),
  updatePlatformServiceAccount: mutation(platformAccounts.updatePlatformServiceAccount, UpdatePlatformServiceAccountRequest),
  suspendPlatformServiceAccount: mutation(platformAccounts.suspendPlatformServiceAccount, SuspendPlatformServiceAccountRequest),
  resumePlatformServiceAccount: mutation(platformAccounts.resumePlatformServiceAccount, ResumePlatformServiceAccountRequest),
  deletePlatformServiceAccount: mutation(platformAccounts.deletePlatformServiceAccount, DeletePlatformServiceAccountRequest),
  createPlatformApiKey: mutation(platformAccounts.createPlatformApiKey, CreatePlatformApiKeyRequest),
  listPlatformApiKeys: list(platformAccounts.listPlatformApiKeys, ListPlatformApiKeysRequest, 'platformApiKeys', byPageToken),
  revokePlatformApiKey: mutation(platformAccounts.revokePlatformApiKey, RevokePlatformApiKeyRequest),
} satisfies Faces<typeof platformAccounts>

export interface Services {
  /** The registry of customer organisations. */
  readonly tenants: Bound<typeof tenants, typeof tenantFaces>
  /** Events of a tenant, for whom Kafka is not at hand, their catalogue, and their delivery. */
  readonly events: Bound<typeof events, typeof eventFaces>
  /** The service about itself. */
  readonly platform: Bound<typeof platform, typeof platformFaces>
  /** The platform's own service accounts and their keys. */
  readonly platformAccounts: Bound<typeof platformAccounts, typeof platformAccountFaces>
}

export const bindServices = (transport: Transport): Services => ({
  tenants: bind(transport, tenants, tenantFaces),
  events: bind(transport, events, eventFaces),
  platform: bind(transport, platform, platformFaces),
  platformAccounts: bind(transport, platformAccounts, platformAccountFaces),
})
