import { typeid } from 'typeid-js'

/** What an id's prefix says of its resource. */
export type IdPrefix = 'tnt' | 'usr' | 'inv' | 'sva' | 'key' | 'ses' | 'rol' | 'evt' | 'aud' | 'psa' | 'pky' | 'rpl'

/** A TypeID over a fresh UUIDv7, `tnt_01kb…`: 26 characters behind the prefix, lower case. Nothing may order by it alone. */
export function newId(prefix: IdPrefix): string {
  return typeid(prefix).toString()
}

/** What an id in a request must look like; nothing with a `:` passes. */
export function idForm(prefix: IdPrefix): RegExp {
  return new RegExp(`^${prefix}_[0-9a-z]{26}$`)
}

/** The 26 characters behind the prefix. */
export function idSuffix(id: string): string {
  return id.slice(id.lastIndexOf('_') + 1)
}
