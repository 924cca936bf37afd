import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeBase32 } from '../../server/keys/base32.js'
import { idForm, idSuffix, newId } from '../../server/keys/ids.js'
import { hashSecret, makeSecret, parseSecret, sameHash } from '../../server/keys/secret.js'

describe('ids', () => {
  it('have their form, are all different, and grow with time', () => {
    const ids = Array.from({ length: 1_000 }, () => newId('tnt'))
    expect(new Set(ids).size).toBe(1_000)
    for (const id of ids) expect(id).toMatch(idForm('tnt'))
    expect(idSuffix(ids[0]!)).toBe(ids[0]!.slice(4))
    expect(idSuffix(ids[999]!).slice(0, 8) >= idSuffix(ids[0]!).slice(0, 8)).toBe(true)
  })

  it.each([
    '',
    'tnt_',
    'usr_01h2xcejqtf2nbrexx3vqjhp41',
    'tnt_01H2XCEJQTF2NBREXX3VQJHP41',
    'tnt_01h2xcejqtf2nbrexx3vqjhp41:undelete',
    'tnt_01h2xcejqtf2nbrexx3vqjhp41\n',
  ])('what is no tenant id: %j', (text) => expect(idForm('tnt').test(text)).toBe(false))

  it('base 32 has TypeID spelling', () => {
    expect(encodeBase32(Buffer.from('0189f2d1a4f77d2a8c3b0123456789ab', 'hex'))).toHaveLength(26)
    expect(encodeBase32(Buffer.alloc(16, 0xff))).toBe('7zzzzzzzzzzzzzzzzzzzzzzzzz')
    expect(encodeBase32(Buffer.alloc(32, 0xff))).toBe(`1${'z'.repeat(51)}`)
    expect(encodeBase32(Buffer.alloc(4))).toBe('0000000')
  })
})

describe('secrets', () => {
  const tenantId = newId('tnt')
  const keyId = newId('key')

  it('name kind, tenant and row, and nothing else of them is readable', () => {
    const secret = makeSecret('ck', tenantId, keyId)
    expect(secret).toMatch(/^ck_[0-9a-z]{26}_[0-9a-z]{26}_[0-9a-z]{52}_[0-9a-z]{7}$/)
    expect(parseSecret(secret)).toEqual({ kind: 'ck', tenantId, rowSuffix: idSuffix(keyId) })
    expect(hashSecret(secret)).toEqual(createHash('sha256').update(secret).digest())
  })

  it('of the platform have p for the tenant', () => {
    const secret = makeSecret('ck', '', newId('pky'))
    expect(secret).toMatch(/^ck_p_/)
    expect(secret.length).toBeLessThanOrEqual(160)
    expect(parseSecret(secret)?.tenantId).toBe('')
  })

  it('are never the same twice', () => {
    expect(new Set(Array.from({ length: 1_000 }, () => makeSecret('rt', tenantId, keyId))).size).toBe(1_000)
  })

  it('with any one character changed are none, so that a typing error costs no query', () => {
    const secret = makeSecret('inv', tenantId, newId('inv'), Buffer.alloc(32, 7))
    let found = 0
    for (let at = 0; at < secret.length; at++) {
      for (const char of '0z_A!') {
        if (secret[at] !== char && parseSecret(secret.slice(0, at) + char + secret.slice(at + 1))) found++
      }
    }
    expect(found).toBe(0)
  })

  it.each([
    '',
    'ck_',
    'ck_p',
    `ck_${'a'.repeat(60)}`,
    '\0',
    `${makeSecret('ck', '', newId('pky'))}\n`,
    ` ${makeSecret('ck', '', newId('pky'))}`,
  ])('no secret: %j', (text) => {
    expect(parseSecret(text)).toBeUndefined()
  })

  it('are not made of what is no id', () => {
    expect(() => makeSecret('ck', 'tnt_x', keyId)).toThrow()
    expect(() => makeSecret('ck', tenantId, keyId, Buffer.alloc(16))).toThrow()
  })

  it('hashes compare', () => {
    expect(sameHash(hashSecret('a'), hashSecret('a'))).toBe(true)
    expect(sameHash(hashSecret('a'), hashSecret('b'))).toBe(false)
    expect(sameHash(hashSecret('a'), Buffer.alloc(3))).toBe(false)
  })
})
