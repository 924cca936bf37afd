import type { NewInvitation } from './invitations.repo.js'

/** An owner's invitation stays open for 30 days, an ordinary one will for 7: an owner may be on leave when the contract is signed. */
const ownerExpiresAfterMs = 30 * 86_400_000

export const ownerInvitation = (id: string, email: string, invitedBy: string, now: Date): NewInvitation => ({
  id,
  email,
  role_keys: ['tenant-admin'],
  owner: true,
  invited_by: invitedBy,
  create_time: now,
  expire_time: new Date(now.getTime() + ownerExpiresAfterMs),
})
