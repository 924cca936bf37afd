/** Crockford's alphabet in lower case, as TypeIDs use it: no i, l, o, u. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** The bytes as one big number, in as many digits as their bits need: 26 for 16 bytes, 52 for 32, 7 for 4. Leading bits are 0. */
export function encodeBase32(bytes: Uint8Array): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let text = ''
  for (let left = Math.ceil((bytes.length * 8) / 5); left > 0; left--) {
    text = alphabet[Number(number & 31n)] + text
    number >>= 5n
  }
  return text
}
