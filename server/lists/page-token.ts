import { createHash } from 'node:crypto'
import type { Ring } from '../keys/ring.js'
import { seal, unseal } from '../keys/seal.js'
import { Fault } from '../rpc/fault.js'

/** The query that a page belongs to. Its token continues this one and no other; `page_size` may change on the way and is no part of it. */
export interface PageQuery {
  readonly principalId: string
  /** The RPC's full name. */
  readonly method: string
  /** '' where the request names none. */
  readonly tenantId: string
  /** The request's filter fields, as they came. */
  readonly filter: Readonly<Record<string, string | number | boolean | Date | undefined>>
  readonly order: string
}

const goodForMs = 24 * 60 * 60_000
/** The contract's bound on the field, `page_token`. */
const lengthMax = 1_000

/**
 * A token for the page behind `cursor` (the last row's sort values, as the database wrote them), good for 24 hours.
 * Sealed: callers can neither read it nor make one.
 */
export function sealPageToken(ring: Ring, query: PageQuery, cursor: readonly string[], now: Date): string {
  const token = seal(ring, labelOf(query), Buffer.from(JSON.stringify([now.getTime() + goodForMs, ...cursor])))
  if (token.length > lengthMax) throw new Error(`a page token of ${token.length} characters`)
  return token
}

/**
 * The cursor that was sealed for this query; undefined for '', the first page.
 * @throws Fault PAGE_TOKEN_INVALID, always with the same text, whatever is wrong with it
 */
export function openPageToken(ring: Ring, query: PageQuery, token: string, now: Date): readonly string[] | undefined {
  if (token === '') return undefined
  const plain = token.length <= lengthMax ? unseal(ring, labelOf(query), token) : undefined
  const [expireMs, ...cursor] = plain ? (JSON.parse(plain.toString()) as [number, ...string[]]) : [0]
  // only what this server sealed comes here; the shape is checked all the same, since what leaves must be strings and nothing else
  if (!plain || typeof expireMs !== 'number' || expireMs <= now.getTime() || !cursor.every((value) => typeof value === 'string')) {
    throw new Fault(
      'PAGE_TOKEN_INVALID',
      'page_token is not of this caller, method, filter and order, or older than 24 hours: start at the first page',
    )
  }
  return cursor
}

function labelOf({ principalId, method, tenantId, filter, order }: PageQuery) {
  const fields = Object.entries(filter)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const query = createHash('sha256')
    .update(JSON.stringify([principalId, method, tenantId, order, fields]))
    .digest('base64url')
  return { purpose: 'page-token', place: [query] }
}
