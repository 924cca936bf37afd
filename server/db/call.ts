/** What the first flight of every transaction reads about its caller and its tenant (`platform.access`). */
export interface AccessRow {
  readonly now: Date
  /** The platform key exists, is neither revoked nor expired, and its account is active. */
  readonly key_valid: boolean
  /** What the key may do now: its account's permissions ∩ its scopes; `*` for the first key. */
  readonly scopes: readonly string[]
  /** null: there is no such tenant (also where the call names none). */
  readonly tenant_state: 'ACTIVE' | 'SUSPENDED' | 'DELETED' | null
  readonly purge_time: Date | null
  /** Revisions, decimal strings: the pseudo-tenant's, the tenant's, the tenant's session epoch. */
  readonly platform_revision: string
  readonly access_revision: string
  readonly session_epoch: string
}

/** The idempotency key of a mutation; the record commits with the work. */
export interface Claim {
  /** The caller's request_id, or one of ours. */
  readonly requestId: string
  /** SHA-256 over the request without its request_id. */
  readonly hash: Uint8Array
  /** The RPC's own codec: JSON would lose dates, bytes and enums. */
  encode(answer: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
  /** How an answer is kept that can hold secrets; absent: this RPC's holds none. */
  readonly sealing?: Sealing
}

/** Of an answer with secrets the record keeps the rest alone; the whole is kept beside it, sealed, for 10 minutes. */
export interface Sealing {
  withoutSecrets(answer: Uint8Array): Uint8Array
  seal(answer: Uint8Array): string
  /** undefined: its key is no longer in the ring. */
  unseal(sealed: string): Uint8Array | undefined
}

/** What a transaction must know of its call; the layers settle it once (server/rpc). */
export interface DbCall {
  /** `/customer.tenant.v1.TenantService/CreateTenant`. */
  readonly method: string
  /** The policy's; a call without one is read only. */
  readonly auditAction: string
  readonly principal: { readonly id: string; readonly type: string; readonly keyId: string }
  /** The message's tenant_id; '' where the request has no such field. */
  readonly tenantId: string
  /** `performance.now()` at which the work must be over. */
  readonly deadline: number
  /** Fires at the deadline, when the caller goes away, and when the drain gives up. */
  readonly signal: AbortSignal
  /** The caller's x-request-id, or one of ours: the log's id and the events' correlationid. */
  readonly requestId: string
  /** W3C trace context; '' where there is none. */
  readonly traceparent: string
  readonly claim: Claim | undefined
  /** Everything but the writing (AIP-163). */
  readonly validateOnly: boolean
  /** Throws the Fault that these rights, as committed, deserve. Runs in the first flight of every attempt, before any answer is released. */
  judge(access: AccessRow): void
}
