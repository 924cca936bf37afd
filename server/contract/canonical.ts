import { domainToASCII } from 'node:url'

/** Names of hosts as DNS can hold them; an address in digits (which `1` means to a URL) is none. */
const hostName = /^(?!.*(?:^|\.)\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/

/**
 * The one form of a mail address: trimmed, NFKC, lower case, its domain in ASCII; '' stays ''.
 * undefined: it is none (no local part or domain, more than 320 bytes, an impossible domain).
 */
export function canonicalEmail(text: string): string | undefined {
  const email = text.normalize('NFKC').trim().toLowerCase()
  if (email === '') return ''
  const at = email.lastIndexOf('@')
  const local = email.slice(0, at)
  const domain = domainToASCII(email.slice(at + 1))
  if (at < 1 || domain === '' || /[\s\p{C}@<>()[\],;:\\"]/u.test(local) || !hostName.test(domain)) return undefined
  const canonical = `${local}@${domain}`
  return Buffer.byteLength(canonical) <= 320 && Buffer.byteLength(local) <= 64 && domain.length <= 253 ? canonical : undefined
}
