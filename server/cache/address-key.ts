import { isIPv4, isIPv6 } from 'node:net'

/**
 * Whom a limit by address counts as one: an IPv4 address, also where it comes mapped into IPv6, and of IPv6 the /64, the least that a
 * customer is given. What is no address counts as one caller.
 */
export function addressKey(address: string): string {
  const bare = address.replace(/%.*$/, '').toLowerCase()
  if (isIPv4(bare)) return bare
  if (!isIPv6(bare)) return 'unknown'
  const groups = expand(bare)
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return [groups[6]! >> 8, groups[6]! & 255, groups[7]! >> 8, groups[7]! & 255].join('.')
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::`
}

/** The eight groups of a valid IPv6 address. */
function expand(address: string): number[] {
  const [head = '', tail] = address.split('::').map((half) => half.split(':').filter((part) => part !== ''))
  const numbers = (parts: readonly string[]) =>
    parts.flatMap((part) => {
      if (!part.includes('.')) return [Number.parseInt(part, 16)]
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
      return [(a << 8) | b, (c << 8) | d]
    })
  const before = numbers(head as string[])
  const after = numbers(tail ?? [])
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}
