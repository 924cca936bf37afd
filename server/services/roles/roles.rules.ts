import type { NewRole } from './roles.repo.js'

/** The ADR's three, as ADR-003 writes them. */
const adrPermissions = ['manage-users', 'manage-billing', 'view-analytics']

/** This service's own permissions inside a tenant. */
const ownPermissions = [
  'view-tenant',
  'manage-tenant',
  'view-users',
  'manage-roles',
  'manage-api-keys',
  'view-audit',
  'manage-privacy',
  'check-permissions',
]

/** Permission names that a tenant's role can hold. */
export const tenantPermissions: readonly string[] = [...adrPermissions, ...ownPermissions]

const templateVersion = 1

/** The roles that every tenant starts with. */
export function defaultRoles(now: Date): NewRole[] {
  const role = (key: string, display_name: string, description: string, permissions: readonly string[]): NewRole => ({
    key,
    display_name,
    description,
    permissions: [...permissions],
    system: true,
    template_version: templateVersion,
    create_time: now,
    update_time: now,
  })
  return [
    role('tenant-admin', 'Administrator', 'Manages the tenant, its people and its billing.', tenantPermissions),
    role('member', 'Member', 'Works in the tenant.', ['view-analytics', 'view-tenant', 'view-users']),
    role('viewer', 'Viewer', 'Looks on.', ['view-analytics', 'view-tenant']),
  ]
}
