import type { Client } from './pool.js'
import { type Statement, statement } from './statement.js'

/** A named statement costs 23 kB per connection and tenant (DATA.md), and pg never evicts. */
const namesMax = 512
interface Names {
  readonly era: number
  readonly byText: Map<string, string>
}
const namesOf = new WeakMap<object, Names>()
let namesMade = 0
let era = 0

const names = (client: Client): Names => {
  const known = namesOf.get(client) ?? { era, byText: new Map<string, string>() }
  namesOf.set(client, known)
  return known
}

/** This connection's name for a text; the last used stand last. No name is used twice. */
export function nameFor(client: Client, text: string): string {
  const { byText } = names(client)
  const name = byText.get(text) ?? `s${++namesMade}`
  byText.delete(text)
  byText.set(text, name)
  return name
}

/** A migration made a name useless, hence perhaps any, on every connection: each drops all of its own when it is used next. */
export function forgetAllNames(): void {
  era++
}

/** DEALLOCATE for the names beyond the limit, or for all; to be sent before BEGIN, where it cannot be refused. */
export function forgetOldNames(client: Client): Statement[] {
  const known = names(client)
  if (known.era !== era) {
    namesOf.delete(client)
    if (known.byText.size === 0) return []
    client.connection.parsedStatements = {}
    return [statement('deallocate all')]
  }
  const { byText } = known
  if (byText.size <= namesMax) return []
  const old: Statement[] = []
  for (const [text, name] of [...byText].slice(0, byText.size - namesMax)) {
    byText.delete(text)
    if (!client.connection.parsedStatements[name]) continue
    delete client.connection.parsedStatements[name]
    old.push(statement(`deallocate ${name}`))
  }
  return old
}
