import type { GetServerInfoRequest, ServerInfo } from '../../../gen/customer/platform/v1/platform_service.js'
import type { Handler } from '../../rpc/call.js'

export function getServerInfo(info: Omit<ServerInfo, 'principal'>): Handler<GetServerInfoRequest, ServerInfo> {
  return async (_, call) => ({ ...info, principal: call.principal.id })
}
