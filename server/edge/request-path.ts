/** What percent-encoding may hide and means something in a URL: it stays encoded. */
const reserved = new Set(Buffer.from("!#$%&'()*+,/:;=?@[]"))

/**
 * A request's path as Kong matches it: octets decoded but for the reserved ones, `//` merged, `.` and `..` resolved.
 * undefined: an encoding that is none, a NUL, or bytes that are no UTF-8.
 */
export function matchedPath(raw: string): string | undefined {
  if (/%(?![0-9a-fA-F]{2})|%00/.test(raw)) return undefined
  const bytes: number[] = []
  for (let i = 0; i < raw.length; i++) {
    const octet = raw[i] === '%' ? Number.parseInt(raw.slice(i + 1, i + 3), 16) : raw.charCodeAt(i)
    if (raw[i] === '%') {
      if (reserved.has(octet)) bytes.push(...Buffer.from(raw.slice(i, i + 3).toUpperCase()))
      else bytes.push(octet)
      i += 2
    } else bytes.push(octet)
  }
  try {
    return resolved(utf8.decode(Buffer.from(bytes)))
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function resolved(path: string): string {
  const segments: string[] = []
  const given = path.split(/\/+/).slice(1)
  for (const [i, segment] of given.entries()) {
    const last = i === given.length - 1
    if (segment === '..') segments.pop()
    if (segment !== '.' && segment !== '..') segments.push(segment)
    else if (last) segments.push('')
  }
  return `/${segments.join('/')}`
}

/** The pairs of a query, as forms are encoded (`+` is a space), a name without `=` with undefined; undefined where an encoding is none, or no UTF-8. */
export function queryPairs(raw: string): [string, string | undefined][] | undefined {
  const decoded = (text: string) => decodeURIComponent(text.replaceAll('+', ' '))
  try {
    return raw
      .split('&')
      .filter((it) => it !== '')
      .map((pair) => {
        const at = pair.indexOf('=')
        return at < 0 ? [decoded(pair), undefined] : [decoded(pair.slice(0, at)), decoded(pair.slice(at + 1))]
      })
  } catch {
    return undefined
  }
}
