/**
 * Strikes secrets, and addresses of people, out of a line of JSON, and writes what a terminal could obey as \u escapes: JSON itself
 * escapes CR, LF and ESC, but neither the C1 controls nor what turns the direction of text. The line stays valid JSON, since nothing
 * here matches a quote or a backslash.
 */
export function scrub(line: string): string {
  if (!suspect.test(line)) return line
  let clean = line
  for (const [shape, instead] of shapes) clean = clean.replace(shape, instead)
  return clean.replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Without any of this in it nothing below matches: the usual line passes in 2 µs instead of 20. */
const suspect = /ck_|(?:rt|inv|rst|vrf)_|eyJ|bearer|basic|@|[^\n -~]/i

/** Every repetition is bounded, so that no line takes longer than its length deserves. */
const shapes: readonly (readonly [RegExp, string])[] = [
  // API keys, ours and the chosen first one, also half of one
  [/ck_[0-9a-z_]{12,400}/gi, 'ck_[redacted]'],
  // other secrets of ours; `inv_` and 26 characters alone is an id
  [/(rt|inv|rst|vrf)_(?:p|[0-9a-z]{26})_[0-9a-z]{26}_[0-9a-z_]{1,400}/gi, '$1_[redacted]'],
  // JSON Web Tokens
  [/eyJ[\w-]{8,400}(?:\.[\w-]{1,8000}){1,50}/g, '[redacted]'],
  [/\b(bearer|basic)\s{1,4}[^\s"\\,]{1,8000}/gi, '$1 [redacted]'],
  // user:password@ in a URL
  [/(:\/\/[^\s"\\:@/]{0,200}:)[^\s"\\]{1,500}@/g, '$1[redacted]@'],
  [/[\p{L}\p{N}._%+-]{1,64}@[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){1,8}/gu, '[e-mail]'],
]
