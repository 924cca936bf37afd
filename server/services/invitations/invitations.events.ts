import { InvitationCreated } from '../../../gen/customer/invitation/v1/invitation_events.js'
import type { Actor } from '../../../gen/customer/type/v1/actor.js'
import type { PayloadEvent } from '../../outbox/append.js'

/** What events tell of an invitation; never to whom it went. */
export interface InvitationEventFields {
  readonly id: string
  readonly role_keys: readonly string[]
  /** Whether it invites the tenant's owner. */
  readonly owner: boolean
  readonly expire_time: Date
}

export const invitationCreated = (tenantId: string, row: InvitationEventFields, { type, id }: Actor): PayloadEvent<InvitationCreated> => ({
  message: InvitationCreated,
  value: {
    tenantId,
    invitationId: row.id,
    roleKeys: [...row.role_keys],
    owner: row.owner,
    expireTime: row.expire_time,
    actor: { type, id },
  },
  subject: `invitations/${row.id}`,
})
