import type { Metadata } from '@grpc/grpc-js'
import type { Call, Layer, Principal } from './call.js'
import { Fault } from './fault.js'

/** One kind of credential; the first whose prefix fits decides alone. */
export interface Verifier {
  /** `ck_`; '' takes whatever is left. */
  readonly prefix: string
  /** undefined: unknown, wrong, expired or revoked; which of them, nobody is told. */
  verify(token: string, call: Call): Promise<Principal | undefined>
}

const tokenMax = 8192
const bearer = /^bearer ([A-Za-z0-9._~+/=-]+)$/i

/** Always the same text: what was wrong with it is nobody's business. */
export const credentialInvalid = () => new Fault('CREDENTIAL_INVALID', 'the credential is not valid')

/** Settles who calls. PUBLIC RPCs ask nobody. */
export function authenticateLayer(verifiers: readonly Verifier[]): Layer {
  return (next) => async (request, call) => {
    // Until a user's token can be checked, a call on behalf of one must not pass as the platform's own.
    if (call.metadata.get('x-on-behalf-of').length > 0) throw credentialInvalid()
    if (call.policy.scopes.includes('PUBLIC')) return next(request, call)
    const token = tokenOf(call.metadata)
    const principal = await verifiers.find((it) => token.startsWith(it.prefix))?.verify(token, call)
    if (!principal) throw credentialInvalid()
    call.log['principal'] = principal.id
    return next(request, { ...call, principal })
  }
}

function tokenOf(metadata: Metadata): string {
  const given = metadata.get('authorization')
  if (given.length !== 1) throw new Fault('CREDENTIAL_MISSING', 'exactly one credential is needed: authorization: Bearer …')
  const token = bearer.exec(String(given[0]).slice(0, tokenMax + 'bearer '.length + 1))?.[1]
  if (token === undefined || token.length > tokenMax) throw credentialInvalid()
  return token
}
