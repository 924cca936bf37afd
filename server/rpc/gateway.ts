import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { addressOf, plainAddress } from './address.js'

/** How a gateway shows that it is ours: by one of these secrets in `x-gateway-secret`, or by a client certificate with this name (SAN). */
export interface GatewayProof {
  readonly secrets: readonly string[]
  /** `kong.internal`: a DNS or URI name. Counts only where client certificates are demanded. */
  readonly clientSan?: string | undefined
}

const secretHeader = 'x-gateway-secret'
/** Ours alone: the door sets it, and takes away what a caller says. */
const marker = 'x-via-gateway'

/** Settles at the door whether a call comes through a gateway of ours. The secret goes no further. */
export function gatewayDoor({ secrets, clientSan }: GatewayProof): (headers: IncomingHttpHeaders, stream: ServerHttp2Stream) => void {
  const hashes = secrets.map(hash)
  return (headers, stream) => {
    const given = headers[secretHeader]
    const bySecret = typeof given === 'string' && hashes.some((it) => timingSafeEqual(it, hash(given)))
    const proven = bySecret || (clientSan !== undefined && sansOf(stream).includes(clientSan))
    delete headers[secretHeader]
    if (proven) headers[marker] = '1'
    else delete headers[marker]
  }
}

const hash = (text: string) => createHash('sha256').update(text).digest()

function sansOf(stream: ServerHttp2Stream): string[] {
  const socket = stream.session?.socket as Partial<TLSSocket> | undefined
  const names = socket?.authorized ? (socket.getPeerCertificate?.().subjectaltname ?? '') : ''
  return names.split(', ').map((it) => it.replace(/^(DNS|URI):/, ''))
}

export const cameByGateway = (get: (name: string) => unknown) => get(marker) === '1'

/**
 * Where a call comes from: the peer, or whom a gateway of ours names. Kong overwrites `x-real-ip` with the address that it has settled by its trusted
 * addresses; to `x-forwarded-for` it adds its own peer, which may be a balancer.
 */
export function callerAddress(peer: string, get: (name: string) => unknown): string {
  if (!cameByGateway(get)) return addressOf(peer)
  const [real, forwarded] = [get('x-real-ip'), get('x-forwarded-for')]
  if (typeof real === 'string') return plainAddress(real.trim())
  return typeof forwarded === 'string' ? plainAddress((forwarded.split(',').at(-1) ?? '').trim()) : addressOf(peer)
}
