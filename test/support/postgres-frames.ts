/** Requests that come before the real start-up message, on the same connection: TLS and GSS encryption. */
const encryptionCodes = [80877103, 80877104]

/** Finds where the messages of one client to PostgreSQL end, in chunks cut anywhere. Not for TLS, where they can't be seen. */
export class PostgresFrames {
  /** Without a type byte, until the start-up message is through. */
  #starting = true
  #header = Buffer.alloc(0)
  /** Of the message whose header is known. */
  #bytesLeft = 0

  /** Offsets in this chunk that are just behind the last byte of a message. */
  ends(chunk: Buffer): number[] {
    const ends: number[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#bytesLeft === 0) {
        // length and code, or type and length
        const missing = (this.#starting ? 8 : 5) - this.#header.length
        this.#header = Buffer.concat([this.#header, chunk.subarray(at, at + missing)])
        at = Math.min(at + missing, chunk.length)
        if (this.#header.length < (this.#starting ? 8 : 5)) return ends
        // the length counts itself, and not the type
        this.#bytesLeft = this.#starting ? this.#header.readUInt32BE(0) - 8 : this.#header.readUInt32BE(1) - 4
        if (this.#starting) this.#starting = encryptionCodes.includes(this.#header.readUInt32BE(4))
        this.#header = Buffer.alloc(0)
      } else {
        const step = Math.min(this.#bytesLeft, chunk.length - at)
        this.#bytesLeft -= step
        at += step
      }
      if (this.#bytesLeft === 0) ends.push(at)
    }
    return ends
  }
}
