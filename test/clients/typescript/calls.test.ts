import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { inspect } from 'node:util'
import { ServerCredentials } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type ClientOptions, createClient } from '../../../clients/typescript/src/index.js'
import { ServerInfo } from '../../../gen/customer/platform/v1/platform_service.js'
import { makeCertificates } from '../../support/certificates.js'
import { makeFolder, removeFolder } from '../../support/temp-folder.js'
import { failure, startScriptedServer } from './scripted-server.js'
import { always, apiKey, failed, setUp, tenant, tenantId, uuid } from './set-up.js'

const create = { slug: 'acme', displayName: 'Acme Ltd', ownerEmail: 'owner@acme.example' }

describe('a call', () => {
  it('answers with the message, sends the key once and an x-request-id', async () => {
    const { client, seen } = await setUp({ getTenant: () => tenant })
    expect(await client.tenants.getTenant({ tenantId })).toEqual(tenant)
    expect(seen[0]!.metadata.get('authorization')).toEqual([`Bearer ${apiKey}`])
    expect(seen[0]!.metadata.get('x-request-id')[0]).toMatch(uuid)
  })

  it('sends metadata of the caller, whose x-request-id names the error too', async () => {
    const { client, seen } = await setUp({ getTenant: always(failure('NOT_FOUND', 'TENANT_NOT_FOUND')) })
    const metadata = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'X-Request-Id': 'mine' }
    const error = await failed(client.tenants.getTenant({ tenantId }, { metadata }))
    expect(seen[0]!.metadata.get('traceparent')).toEqual([metadata.traceparent])
    expect(error.requestId).toBe('mine')
  })

  it('takes enums as text, undefined as unset, and no request where there is nothing to ask', async () => {
    const { client, seen } = await setUp({
      listTenants: () => ({ tenants: [], nextPageToken: '' }),
      updateTenant: () => tenant,
      getServerInfo: () => ServerInfo.fromPartial({ name: 'customer-management' }),
    })
    for await (const _ of client.tenants.listTenants({ state: 'TENANT_STATE_ACTIVE', plan: undefined })) expect.fail()
    await client.tenants.updateTenant({ tenantId, displayName: undefined, contacts: { billingEmail: 'a@b.example' }, etag: undefined })
    expect((await client.platform.getServerInfo()).name).toBe('customer-management')
    expect(seen[0]!.request).toMatchObject({ state: 'TENANT_STATE_ACTIVE', plan: '' })
    expect(seen[1]!.request).toMatchObject({
      displayName: undefined,
      contacts: { billingEmail: 'a@b.example', securityEmail: undefined },
    })
  })
})

describe('errors', () => {
  it('are typed: code, reason, metadata, violations, text and the line that called', async () => {
    const violations = [
      { field: 'slug', description: 'too short' },
      { field: 'contacts.billing_email', description: 'no address' },
    ]
    const { client } = await setUp({
      createTenant: always(failure('INVALID_ARGUMENT', 'FIELD_INVALID', { metadata: { violations_total: '2' }, violations })),
    })
    const error = await failed(client.tenants.createTenant(create))
    expect(error).toMatchObject({ name: 'CustomerManagementError', code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', violations })
    expect(error.metadata).toEqual({ violations_total: '2' })
    expect(error.message).toBe('FIELD_INVALID: scripted')
    expect(error.requestId).toMatch(uuid)
    expect(error.stack).toContain('calls.test.ts')
  })

  it('the request id that the service names counts', async () => {
    const error = failure('INTERNAL', 'INTERNAL')
    error.metadata.set('x-request-id', 'theirs')
    const { client } = await setUp({ getTenant: always(error) })
    expect((await failed(client.tenants.getTenant({ tenantId }))).requestId).toBe('theirs')
  })

  it('no reason from another domain, nor from details that cannot be read', async () => {
    const torn = failure('NOT_FOUND', 'TENANT_NOT_FOUND')
    torn.metadata.set('grpc-status-details-bin', Buffer.from([0x1a, 0xff, 0x01]))
    const { client } = await setUp({
      getTenant: always(failure('NOT_FOUND', 'NO_ROUTE', { domain: 'proxy' })),
      resolveTenant: always(torn),
    })
    expect(await failed(client.tenants.getTenant({ tenantId }))).toMatchObject({ code: 'NOT_FOUND', reason: undefined, metadata: {} })
    expect(await failed(client.tenants.resolveTenant({ slug: 'acme' }))).toMatchObject({ code: 'NOT_FOUND', reason: undefined })
  })

  it('UNAVAILABLE: nobody listens', async () => {
    const { client, server } = await setUp({})
    server.stop()
    expect(await failed(client.tenants.getTenant({ tenantId }))).toMatchObject({ code: 'UNAVAILABLE', reason: undefined })
  })

  it('the key shows nowhere', async () => {
    const { client } = await setUp({ getTenant: always(failure('UNAUTHENTICATED', 'CREDENTIAL_INVALID')) })
    const error = await failed(client.tenants.getTenant({ tenantId }))
    const shown = [client, error].flatMap((it) => [inspect(it, { depth: 20, showHidden: true }), JSON.stringify(it)])
    for (const bad of [`${apiKey}\n`, `${apiKey} x`, `${apiKey}é`]) {
      try {
        createClient({ address: 'localhost:1', apiKey: bad })
        expect.fail()
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(TypeError)
        shown.push(inspect(thrown))
      }
    }
    expect(shown.join('\n')).not.toContain('canary')
  })
})

describe('abort and close', () => {
  it('CANCELLED with the reason as cause: before, during, and between attempts', async () => {
    const { client, seen } = await setUp({
      getTenant: () => new Promise(() => {}),
      resolveTenant: always(failure('RESOURCE_EXHAUSTED', 'TENANT_BUSY', { retryAfterMs: 5_000 })),
    })
    const reason = new Error('enough')
    expect(await failed(client.tenants.getTenant({ tenantId }, { signal: AbortSignal.abort(reason) }))).toMatchObject({
      code: 'CANCELLED',
      cause: reason,
    })
    expect(seen).toHaveLength(0)
    const { getTenant, resolveTenant } = client.tenants
    const calls = [
      (signal: AbortSignal) => getTenant({ tenantId }, { signal }),
      (signal: AbortSignal) => resolveTenant({ slug: 'acme' }, { signal }),
    ]
    for (const call of calls) {
      const controller = new AbortController()
      const startedAt = performance.now()
      setTimeout(() => controller.abort(reason), 150)
      expect(await failed(call(controller.signal))).toMatchObject({ code: 'CANCELLED', cause: reason })
      expect(performance.now() - startedAt).toBeLessThan(4_000)
    }
    await expect.poll(() => seen[0]!.call.cancelled).toBe(true)
    expect(seen).toHaveLength(2)
  })

  it('close ends the waits, refuses new calls and lets a running attempt finish', async () => {
    const { client } = await setUp({
      getTenant: () => new Promise((resolve) => setTimeout(resolve, 300, tenant)),
      resolveTenant: always(failure('RESOURCE_EXHAUSTED', 'TENANT_BUSY', { retryAfterMs: 5_000 })),
    })
    const running = client.tenants.getTenant({ tenantId })
    const waiting = failed(client.tenants.resolveTenant({ slug: 'acme' }))
    setTimeout(() => client.close(), 150)
    expect((await waiting).code).toBe('CANCELLED')
    expect(await running).toEqual(tenant)
    expect((await failed(client.tenants.getTenant({ tenantId }))).message).toContain('closed')
  })
})

describe('the connection', () => {
  it('passes by https_proxy on loopback', async () => {
    process.env['https_proxy'] = 'http://127.0.0.1:1'
    onTestFinished(() => {
      delete process.env['https_proxy']
    })
    const { client } = await setUp({ getTenant: () => tenant })
    expect(await client.tenants.getTenant({ tenantId })).toEqual(tenant)
  })

  it('is TLS wherever the address is not loopback, unless insecure is said', async () => {
    // What comes first over the wire: a TLS handshake, or HTTP/2's preface.
    const spoken = async (host: string, options: Partial<ClientOptions>) => {
      let heard: (kind: string) => void
      const kind = new Promise<string>((resolve) => {
        heard = resolve
      })
      const listener = createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', (bytes) => {
          heard(bytes[0] === 0x16 ? 'tls' : bytes.toString('latin1', 0, 3))
          socket.destroy()
        })
      })
      await new Promise<void>((resolve) => listener.listen(0, '0.0.0.0', resolve))
      const client = createClient({ address: `${host}:${(listener.address() as AddressInfo).port}`, apiKey, timeoutMs: 400, ...options })
      await failed(client.tenants.getTenant({ tenantId }))
      client.close()
      listener.close()
      return kind
    }
    // 0.0.0.0 reaches this machine, and is none of the names of loopback.
    expect(await spoken('0.0.0.0', {})).toBe('tls')
    expect(await spoken('0.0.0.0', { insecure: true })).toBe('PRI')
    expect(await spoken('localhost', {})).toBe('PRI')
    expect(await spoken('127.0.0.1', {})).toBe('PRI')
    expect(await spoken('127.0.0.1', { tls: true })).toBe('tls')
    const address = 'localhost:50051'
    expect(() => createClient({ address, apiKey, tls: true, insecure: true })).toThrow(TypeError)
    expect(() => createClient({ address: 'http://localhost:50051', apiKey })).toThrow(TypeError)
  })

  it('trusts the authority that is named, and no other', async () => {
    const folder = await makeFolder('sdk-tls')
    onTestFinished(() => removeFolder(folder))
    const made = makeCertificates(folder)
    if (!made) throw new Error('this test needs openssl on the PATH')
    const text = (path: string) => readFileSync(path, 'utf8')
    const pair = { private_key: readFileSync(made.key), cert_chain: readFileSync(made.cert) }
    const server = await startScriptedServer({ getTenant: () => tenant }, { credentials: ServerCredentials.createSsl(null, [pair]) })
    const address = `localhost:${server.port}`
    const trusting = createClient({ address, apiKey, tls: { ca: text(made.ca) } })
    const doubting = createClient({ address, apiKey, tls: { ca: text(made.otherCa) }, timeoutMs: 1_000 })
    onTestFinished(() => {
      trusting.close()
      doubting.close()
      server.stop()
    })
    expect(await trusting.tenants.getTenant({ tenantId })).toEqual(tenant)
    expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain((await failed(doubting.tenants.getTenant({ tenantId }))).code)
    expect(server.seen).toHaveLength(1)
    expect(() => createClient({ address, apiKey, tls: { key: 'x' } })).toThrow(TypeError)
  })
})
