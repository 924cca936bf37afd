import type { Client } from './pool.js'
import { type Statement, statement } from './statement.js'

/** A named statement costs 23 kB per connection and tenant (DATA.md), and pg never evicts. */
const namesMax = 512
const namesOf = new WeakMap<object, Map<string, string>>()
let namesMade = 0

const names = (client: Client): Map<string, string> => {
  const known = namesOf.get(client) ?? new Map<string, string>()
  namesOf.set(client, known)
  return known
}

/** This connection's name for a text; the last used stand last. No name is used twice. */
export function nameFor(client: Client, text: string): string {
  const known = names(client)
  const name = known.get(text) ?? `s${++namesMade}`
  known.delete(text)
  known.set(text, name)
  return name
}

/** DEALLOCATE for the names beyond the limit; to be sent before BEGIN, where it cannot be refused. */
export function forgetOldNames(client: Client): Statement[] {
  const known = names(client)
  if (known.size <= namesMax) return []
  const old: Statement[] = []
  for (const [text, name] of [...known].slice(0, known.size - namesMax)) {
    known.delete(text)
    if (!client.connection.parsedStatements[name]) continue
    delete client.connection.parsedStatements[name]
    old.push(statement(`deallocate ${name}`))
  }
  return old
}
