/** A peer's address without its port; an IPv4 one in its IPv6 dress stands in its own form, so that a limiter sees one caller as one. */
export function addressOf(peer: string): string {
  return plainAddress(/^(.*):\d+$/.exec(peer)?.[1] ?? peer)
}

export const plainAddress = (host: string) => (host.startsWith('::ffff:') ? host.slice(7) : host)
