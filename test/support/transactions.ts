import { createHash, randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { AccessRow, DbCall } from '../../server/db/call.js'
import { type Database, type DatabaseOptions, openDatabase } from '../../server/db/database.js'
import { inNewTenant } from '../../server/db/in-tenant.js'
import type { PgConnection } from '../../server/db/pool.js'
import { newId } from '../../server/keys/ids.js'
import { Fault } from '../../server/rpc/fault.js'
import { insertTenant } from '../../server/services/tenants/tenants.repo.js'
import { newTenantRow } from '../../server/services/tenants/tenants.rules.js'
import type { TestDatabase } from './databases.js'
import { makeKey, type TestKey } from './keys.js'

/** What a call of the kernel's own tests may say; all else is made up. */
export interface CallOptions {
  readonly tenantId?: string
  /** Of the record that keeps the answer; undefined: no claim. */
  readonly requestId?: string
  /** What the request hash is made of. */
  readonly body?: string
  /** No audit action: the call reads. */
  readonly readOnly?: boolean
  readonly validateOnly?: boolean
  readonly signal?: AbortSignal
  readonly key?: TestKey
}

/** The kernel without layers, on a database of the test's own. */
export interface Bench {
  readonly db: Database
  readonly key: TestKey
  call(options?: CallOptions): DbCall
  onboard(): Promise<string>
  close(): Promise<void>
}

export async function openBench(database: TestDatabase, options: Partial<DatabaseOptions> = {}): Promise<Bench> {
  const db = openDatabase({ url: database.urls.app, max: 8, named: true, ...options })
  const key = await makeKey(db.pool, ['*'])
  const call = ({ tenantId = '', requestId, body = '', readOnly, validateOnly, signal, key: other }: CallOptions = {}): DbCall => ({
    method: '/test.Kernel/Try',
    auditAction: readOnly ? '' : 'kernel.try',
    principal: { id: (other ?? key).accountId, type: 'platform-service-account', keyId: (other ?? key).keyId },
    tenantId,
    deadline: performance.now() + 60_000,
    signal: signal ?? new AbortController().signal,
    requestId: 'req-test',
    traceparent: '',
    claim: requestId === undefined ? undefined : claimOf(requestId, body),
    validateOnly: validateOnly ?? false,
    judge,
  })
  return {
    db,
    key,
    call,
    onboard: () =>
      inNewTenant(db, call(), async (tx) => {
        const slug = `bench-${randomUUID().slice(0, 13)}`
        const row = { slug, display_name: slug, plan: 'standard', region: 'default', labels: {}, billing_email: null, security_email: null }
        insertTenant(tx, newTenantRow({ id: tx.tenantId, ...row }, await tx.now, 1))
        return tx.tenantId
      }),
    close: () => db.pool.end(),
  }
}

const claimOf = (requestId: string, body: string) => ({
  requestId,
  hash: createHash('sha256').update(body).digest(),
  encode: (answer: unknown) => Buffer.from(JSON.stringify(answer)),
  decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as unknown,
})

function judge(access: AccessRow): void {
  if (!access.key_valid) throw new Fault('CREDENTIAL_INVALID', 'the credential is not valid')
}

/** An open invitation for `tx.tenant.insertInto('invitations')`. */
export const invitationRow = (more: { owner?: boolean; email?: string } = {}) => ({
  id: newId('inv'),
  email: 'owner@acme.example',
  role_keys: ['tenant-admin'],
  owner: true,
  invited_by: 'psa_test',
  create_time: new Date(),
  expire_time: new Date(Date.now() + 86_400_000),
  ...more,
})

export const event = (payload = '{}') => ({ stream: 'domain', type: 'com.enterprise.customer.test.v1', subject: '', payload }) as const

/**
 * Between a pool and its server: `change` sees the text of every statement and may send another in its place, without values. Of a bench whose
 * statements have no names: those are parsed once only.
 */
export function tamper(pool: pg.Pool, change: (text: string) => string | undefined): void {
  const tampered = new WeakSet<pg.PoolClient>()
  pool.on('acquire', (client) => {
    if (tampered.has(client)) return
    tampered.add(client)
    const connection = client.connection as unknown as PgConnection
    const [parse, bind] = [connection.parse.bind(connection), connection.bind.bind(connection)]
    let changed = false
    connection.parse = (message) => {
      const text = change(message.text)
      changed = text !== undefined
      parse({ ...message, text: text ?? message.text })
    }
    connection.bind = (message) => bind(changed ? { ...message, values: [] } : message)
  })
}
