import { expect, onTestFinished } from 'vitest'
import { type ClientOptions, CustomerManagementError, createClient } from '../../../clients/typescript/src/index.js'
import { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import { type Scripts, startScriptedServer } from './scripted-server.js'

export const apiKey = 'ck_canary0123456789abcdefghijklmnopqrstuvwxyz'
export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const tenantId = `tnt_${'0'.repeat(26)}`
export const tenant = Tenant.fromPartial({ id: tenantId, slug: 'acme' })

/** A client of a scripted server; both end with the test. */
export async function setUp(scripts: Scripts, options: Partial<ClientOptions> = {}) {
  const server = await startScriptedServer(scripts)
  const client = createClient({ address: server.address, apiKey, ...options })
  onTestFinished(() => {
    client.close()
    server.stop()
  })
  return { server, client, seen: server.seen }
}

/** The typed error of a call that must fail. */
export async function failed(call: Promise<unknown>): Promise<CustomerManagementError> {
  const error = await call.then(
    () => expect.fail('the call succeeded'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(CustomerManagementError)
  return error as CustomerManagementError
}

/** Fails with each error in turn, then answers with the tenant. */
export const failing =
  (...errors: Error[]) =>
  (_seen: unknown, nth: number) => {
    const error = errors[nth - 1]
    if (error) throw error
    return tenant
  }

export const always = (error: Error) => () => {
  throw error
}
