/** The policy that an RPC declares, read from the compiled descriptors. */
export interface MethodPolicy {
  readonly permissions: readonly string[]
  readonly scopes: readonly ('PUBLIC' | 'AUTHENTICATED' | 'SELF' | 'TENANT' | 'PLATFORM')[]
  /** '' for a read. */
  readonly auditAction: string
  readonly rateClass: 'READ' | 'LIST' | 'WRITE' | 'ONBOARD' | 'STREAM'
  readonly whileDeleted: boolean
}
