import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { compiledOnce } from '../../db/compiled-once.js'
import { flight } from '../../db/flight.js'
import type { Pool } from '../../db/pool.js'
import { statement } from '../../db/statement.js'
import type { PlatformTx } from '../../db/tx.js'
import { Fault } from '../../rpc/fault.js'
import type { SlugHolder, TenantFilter, TenantPosition } from './tenants.rules.js'
import type { TenantRow } from './tenants.table.js'
import '../../db/counters.table.js'

const columns = [
  't.id',
  't.slug',
  't.display_name',
  't.plan',
  't.region',
  't.schema_version',
  't.labels',
  't.billing_email',
  't.security_email',
  't.purge_hold',
  't.suspend_reason',
  't.state',
  't.row_version',
  't.create_time',
  't.update_time',
  't.suspend_time',
  't.delete_time',
  't.purge_time',
  'c.access_revision',
] as const

const select = (platform: PlatformTx['platform']) =>
  platform.selectFrom('tenants as t').innerJoin('tenant_counters as c', 'c.tenant_id', 't.id').select(columns)

const notFound = () => new Fault('TENANT_NOT_FOUND', 'there is no such tenant')

const selectById = compiledOnce((platform, { id }: { id: string }) => select(platform).where('t.id', '=', id))
const selectByIdLocked = compiledOnce((platform, { id }: { id: string }) => select(platform).where('t.id', '=', id).forNoKeyUpdate('t'))
const selectBySlug = compiledOnce((platform, { slug }: { slug: string }) => select(platform).where('t.slug', '=', slug))

/** The call's tenant; the last read of a read-only call. */
export async function readTenant(tx: PlatformTx): Promise<TenantRow> {
  const [row] = await tx.lookUp(selectById(tx, { id: tx.tenantId }))
  if (!row) throw notFound()
  return row
}

/** The call's tenant, locked until the transaction ends; other writers of it wait. */
export async function lockTenant(tx: PlatformTx): Promise<TenantRow> {
  const [row] = await tx.read(selectByIdLocked(tx, { id: tx.tenantId }))
  if (!row) throw notFound()
  return row
}

export async function findTenantBySlug(tx: PlatformTx, slug: string): Promise<TenantRow> {
  const [row] = await tx.lookUp(selectBySlug(tx, { slug }))
  if (!row) throw notFound()
  return row
}

/** Those of these tenants that there are, in any order; the last read of a read-only call. */
export const readTenants = (tx: PlatformTx, ids: readonly string[]): Promise<TenantRow[]> =>
  tx.last(select(tx.platform).where(sql<boolean>`${sql.ref('t.id')} = any (${ids}::text[])`))

/** Who holds a slug, or why nobody can; undefined: it is free. */
export async function slugHolder(tx: PlatformTx, slug: string): Promise<SlugHolder | undefined> {
  const [tenant, reserved] = await Promise.all([
    tx.platform.selectFrom('tenants').select(['id', 'state']).where('slug', '=', slug).executeTakeFirst(),
    tx.platform.selectFrom('reserved_slugs').select('reason').where('slug', '=', slug).executeTakeFirst(),
  ])
  return tenant ? { tenant_id: tenant.id, reason: tenant.state } : reserved
}

/** Losers of a race for the slug wait here, and do no DDL. */
export function insertTenant(tx: PlatformTx, row: TenantRow): void {
  const { id, slug, display_name, plan, region, billing_email, security_email, create_time, update_time } = row
  const labels = JSON.stringify(row.labels)
  tx.later(
    tx.platform
      .insertInto('tenants')
      .values({ id, slug, display_name, plan, region, labels, billing_email, security_email, create_time, update_time })
      .onConflict((conflict) => conflict.column('slug').doNothing()),
    1,
    new Fault('SLUG_TAKEN', 'a tenant has this slug'),
  )
}

const updateById = compiledOnce((platform, row: Omit<TenantRow, 'labels'> & { labels: string }) =>
  platform
    .updateTable('tenants')
    .set({
      display_name: row.display_name,
      plan: row.plan,
      labels: row.labels,
      billing_email: row.billing_email,
      security_email: row.security_email,
      purge_hold: row.purge_hold,
      suspend_reason: row.suspend_reason,
      row_version: row.row_version,
      update_time: row.update_time,
      suspend_time: row.suspend_time,
      delete_time: row.delete_time,
      purge_time: row.purge_time,
    })
    .where('id', '=', row.id),
)

export function updateTenant(tx: PlatformTx, row: TenantRow): void {
  tx.later(updateById(tx, { ...row, labels: JSON.stringify(row.labels) }), 1)
}

/** One row more than `limit` tells whether there is a next page. `at` is the cursor's time at the database's own precision. */
export async function listTenants(tx: PlatformTx, filter: TenantFilter, after: TenantPosition | undefined, limit: number) {
  const bySlug = filter.order === 'slug_asc'
  const way = filter.order === 'create_time_desc' ? 'desc' : 'asc'
  const sort = bySlug ? 't.slug' : 't.create_time'
  let query = select(tx.platform).select(sql<string>`${sql.ref('t.create_time')}::text`.as('at'))
  if (!filter.showDeleted) query = query.where('t.delete_time', 'is', null)
  if (filter.state) query = query.where('t.state', '=', filter.state)
  if (filter.plan) query = query.where('t.plan', '=', filter.plan)
  if (filter.region) query = query.where('t.region', '=', filter.region)
  if (filter.labelKey && filter.labelValue) {
    query = query.where('t.labels', '@>', JSON.stringify({ [filter.labelKey]: filter.labelValue }) as never)
  } else if (filter.labelKey) {
    query = query.where(sql<boolean>`${sql.ref('t.labels')} ? ${filter.labelKey}`)
  }
  if (filter.afterCreateTime) query = query.where('t.create_time', '>', filter.afterCreateTime)
  if (filter.beforeCreateTime) query = query.where('t.create_time', '<', filter.beforeCreateTime)
  if (after) {
    const position = sql`(${bySlug ? after.slug : sql`${after.at}::timestamptz`}, ${after.id})`
    query = query.where(sql<boolean>`(${sql.ref(sort)}, ${sql.ref('t.id')}) ${sql.raw(way === 'asc' ? '>' : '<')} ${position}`)
  }
  return await tx.last(
    query
      .orderBy(sort, way)
      .orderBy('t.id', way)
      .limit(limit + 1),
  )
}

/** The name itself, or with an ending that makes it free; belongs to no call. */
export async function freeSlugLike(pool: Pool, name: string): Promise<string> {
  const names = [name, ...Array.from({ length: 8 }, () => `${name}-${randomUUID().slice(0, 6)}`)]
  const [taken] = await flight(pool, 'platform_app', [statement('select slug from platform.tenants where slug = any ($1)', [names])])
  return names.find((each) => !taken?.rows.some(({ slug }) => slug === each)) ?? name
}
