import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readPems } from '../../server/keys/pem-files.js'
import { openRing, parseRingKeys } from '../../server/keys/ring.js'
import { seal, unseal } from '../../server/keys/seal.js'

const [oldKey, newKey] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
const label = { purpose: 'totp', place: ['tnt_a', 'credentials.secret', 'usr_1'] }

describe('the ring', () => {
  it('reads keys with and without ids', () => {
    const [a, b] = parseRingKeys(`${newKey}, old:${oldKey}`)
    expect(a!.id).toMatch(/^[0-9a-f]{8}$/)
    expect(b).toEqual({ id: 'old', bytes: Buffer.from(oldKey, 'base64') })
    expect(parseRingKeys(newKey)[0]!.id).toBe(a!.id)
  })

  it.each(['', 'x', `${newKey},`, newKey.slice(1), `Bad:${newKey}`, `${newKey}=`, `a:${newKey},a:${oldKey}`])(
    'refuses %j without showing a key',
    (text) => {
      expect(() => parseRingKeys(text)).toThrow()
      try {
        parseRingKeys(text)
      } catch (err) {
        expect(String(err)).not.toContain(newKey.slice(2, 12))
      }
    },
  )

  it('derives another key for each purpose, never the key itself', () => {
    const ring = openRing(parseRingKeys(`a:${newKey},b:${oldKey}`))
    const derived = [ring.derive('x', 'a'), ring.derive('y', 'a'), ring.derive('x', 'b')].map((key) => Buffer.from(key!).toString('base64'))
    expect(new Set([...derived, newKey, oldKey]).size).toBe(5)
    expect(ring.derive('x', 'c')).toBeUndefined()
  })
})

describe('sealing', () => {
  const ring = openRing(parseRingKeys(`new:${newKey}`))
  const sealed = seal(ring, label, Buffer.from('plain'))

  it('opens what it sealed', () => {
    expect(unseal(ring, label, sealed)?.toString()).toBe('plain')
    expect(unseal(ring, label, seal(ring, label, Buffer.alloc(0)))).toEqual(Buffer.alloc(0))
  })

  it('C-088 never uses a nonce twice', () => {
    const nonces = Array.from({ length: 2_000 }, () =>
      Buffer.from(seal(ring, label, Buffer.alloc(1)).split('.')[2]!, 'base64url').subarray(0, 24),
    )
    expect(new Set(nonces.map((nonce) => nonce.toString('hex'))).size).toBe(2_000)
    // both halves are random: one chooses the key, one is GCM's
    for (const half of [nonces.map((n) => n.subarray(0, 12)), nonces.map((n) => n.subarray(12))]) {
      expect(new Set(half.map((n) => n.toString('hex'))).size).toBe(2_000)
    }
  })

  it.each([
    ['another tenant', { ...label, place: ['tnt_b', 'credentials.secret', 'usr_1'] }],
    ['another column', { ...label, place: ['tnt_a', 'signing_keys.private', 'usr_1'] }],
    ['another row', { ...label, place: ['tnt_a', 'credentials.secret', 'usr_2'] }],
    ['another purpose', { ...label, purpose: 'page-token' }],
    ['the same parts, cut elsewhere', { ...label, place: ['tnt_acredentials.secret', 'usr_1'] }],
    ['a part less', { ...label, place: ['tnt_a', 'credentials.secret'] }],
  ])('C-088 does not open in %s', (_, other) => {
    expect(unseal(ring, other, sealed)).toBeUndefined()
  })

  it('C-088 does not open with any bit flipped, or cut', () => {
    const [version, id, body] = sealed.split('.') as [string, string, string]
    const bytes = Buffer.from(body, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(unseal(ring, label, `${version}.${id}.${flipped.toString('base64url')}`)).toBeUndefined()
    }
    for (let length = 0; length < sealed.length; length++) expect(unseal(ring, label, sealed.slice(0, length))).toBeUndefined()
    for (const text of [`${sealed}=`, `${sealed}.x`, sealed.replace('v1', 'v2'), sealed.replace('new', 'old'), '..', '']) {
      expect(unseal(ring, label, text)).toBeUndefined()
    }
  })

  it('opens under every key of the ring, and no longer once its key is gone', () => {
    const before = seal(openRing(parseRingKeys(`old:${oldKey}`)), label, Buffer.from('x'))
    const both = openRing(parseRingKeys(`new:${newKey},old:${oldKey}`))
    expect(unseal(both, label, before)?.toString()).toBe('x')
    expect(seal(both, label, Buffer.from('y'))).toContain('.new.')
    expect(unseal(ring, label, before)).toBeUndefined()
  })
})

it('PEM files are read, or named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pem-'))
  try {
    const ca = join(folder, 'ca.pem')
    writeFileSync(ca, '-----BEGIN CERTIFICATE-----\n')
    writeFileSync(join(folder, 'x'), 'x')
    expect(readPems({ ca })).toEqual({ ca: '-----BEGIN CERTIFICATE-----\n', rejectUnauthorized: true })
    expect(() => readPems({ ca, key: join(folder, 'none') })).toThrow(`${join(folder, 'none')} cannot be read: ENOENT`)
    expect(() => readPems({ ca: join(folder, 'x') })).toThrow('is no PEM file')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
