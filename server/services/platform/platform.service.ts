import { PlatformServiceService, type ServerInfo } from '../../../gen/customer/platform/v1/platform_service.js'
import type { Layer } from '../../rpc/call.js'
import { implement } from '../../rpc/kernel.js'
import { getServerInfo } from './get-server-info.js'

export const platformService = (info: Omit<ServerInfo, 'principal'>, layers: readonly Layer[]) =>
  implement(PlatformServiceService, { getServerInfo: getServerInfo(info) }, layers)
