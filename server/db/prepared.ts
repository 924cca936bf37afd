import type { Client } from './pool.js'
import type { Statement } from './statement.js'

/** A column of a result, and how its text becomes a value. */
export interface Column {
  readonly name: string
  readonly parse: (text: string) => unknown
}

/** A text that one connection knows by a name. */
export interface Prepared {
  readonly name: string
  /** `unsure`: it was sent for preparation behind something that failed. */
  state: 'new' | 'sent' | 'unsure'
  /** Of its result, once PostgreSQL has described them. */
  columns: readonly Column[] | undefined
}

/** Texts that every connection sends. */
const common = /^(begin |commit$|set local role platform_)/

/**
 * Not what is sent once: a switch to a tenant's role, or the rows of a new tenant. Each DDL command makes PostgreSQL walk through all plans that it
 * keeps: 300 of them made CreateTenant take half as long again.
 */
export const worthPreparing = ({ role, text, once }: Statement): boolean => !once && (role !== undefined || common.test(text))

/** A named statement costs 23 kB per connection and tenant (DATA.md). */
const namesMax = 512
interface Names {
  readonly era: number
  readonly byText: Map<string, Prepared>
}
const namesOf = new WeakMap<object, Names>()
let namesMade = 0
let era = 0

/** This connection's name for a text; the last used stand last. No name is used twice. */
export function prepared(client: Client, text: string): Prepared {
  let names = namesOf.get(client)
  if (!names) {
    names = { era, byText: new Map() }
    namesOf.set(client, names)
  }
  const { byText } = names
  const found = byText.get(text) ?? { name: `s${++namesMade}`, state: 'new', columns: undefined }
  byText.delete(text)
  byText.set(text, found)
  return found
}

/** A migration made a name useless, hence perhaps any, on every connection: each drops all of its own when it is used next. */
export function forgetAllNames(): void {
  era++
}

/** The names beyond the limit, or all of an era that is over: PostgreSQL is to close them, and this connection knows them no more. */
export function takeOldNames(client: Client): string[] {
  const names = namesOf.get(client)
  if (!names) return []
  if (names.era !== era) {
    namesOf.delete(client)
    return [...names.byText.values()].map(({ name }) => name)
  }
  const { byText } = names
  if (byText.size <= namesMax) return []
  return [...byText].slice(0, byText.size - namesMax).map(([text, { name }]) => {
    byText.delete(text)
    return name
  })
}
