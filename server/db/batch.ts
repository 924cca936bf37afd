import pg from 'pg'
import type { Client, PgConnection } from './pool.js'
import { type Column, type Prepared, prepared, takeOldNames, worthPreparing } from './prepared.js'
import type { Statement } from './statement.js'

/** What a statement brought. */
export interface Result {
  // biome-ignore lint/suspicious/noExplicitAny: rows have the shape that the statement says
  readonly rows: any[]
  /** `SELECT`, `INSERT`, `COMMIT` … */
  readonly command: string
  readonly rowCount: number | null
}

interface Slot {
  readonly statement: Statement
  readonly known: Prepared | undefined
  columns: readonly Column[]
  readonly rows: Record<string, unknown>[]
  tag: string
  broken: Error | undefined
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

/**
 * Sends statements as one message group: PostgreSQL answers all of them in one piece, and after an error skips the rest, whose results reject with that
 * error too. pg's own query would describe each statement each time and have each answered by itself, at twice the processor time.
 * @param named prepare them by name (off behind a pooler in transaction mode)
 */
export function sendBatch(client: Client, statements: readonly Statement[], named: boolean): Batch {
  const batch = new Batch(client, statements, named)
  client.query(batch as unknown as pg.Submittable)
  return batch
}

/** Takes the place of a pg.Query: pg calls `submit` when it is its turn, and the handlers as the answers come. */
export class Batch {
  readonly statements: readonly Statement[]
  readonly results: readonly Promise<Result>[]
  /** Resolves when PostgreSQL has answered, or never will; true: it failed. */
  readonly answered: Promise<boolean>
  readonly #client: Client
  readonly #slots: readonly Slot[]
  readonly #old: readonly string[]
  /** pg puts its `query_timeout` timer behind this. */
  callback: () => void = () => {}
  #at = 0
  #end: (failed: boolean) => void = () => {}

  constructor(client: Client, statements: readonly Statement[], named: boolean) {
    this.#client = client
    this.statements = statements
    this.#old = named ? takeOldNames(client) : []
    const results: Promise<Result>[] = []
    this.#slots = statements.map((statement) => {
      const known = named && worthPreparing(statement) ? prepared(client, statement.text) : undefined
      const slot = { statement, known, columns: [], rows: [], tag: '', broken: undefined } as unknown as Slot
      results.push(
        new Promise((resolve, reject) => {
          slot.resolve = resolve
          slot.reject = reject
        }),
      )
      return slot
    })
    this.results = results
    this.answered = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** Nobody waits for it any more; it goes on. */
  abandon(error: Error) {
    for (const slot of this.#slots) slot.reject(error)
  }

  submit(connection: PgConnection): Error | null {
    connection.stream.cork()
    try {
      this.#write(connection)
      return null
    } catch (error) {
      connection.stream.destroy() // half a message group is out
      return error as Error
    } finally {
      connection.stream.uncork()
    }
  }

  #write(connection: PgConnection) {
    for (const name of this.#old) connection.close({ type: 'S', name })
    for (const slot of this.#slots) {
      const { statement, known } = slot
      const name = known?.name ?? ''
      if (known?.state === 'unsure') {
        connection.close({ type: 'S', name }) // no error where there is none
        known.columns = undefined
      }
      if (known?.state !== 'sent') connection.parse({ name, text: statement.text })
      connection.bind({ statement: name, values: statement.values })
      if (known?.columns) slot.columns = known.columns
      else connection.describe({ type: 'P' })
      connection.execute()
      if (known) known.state = 'sent'
    }
    connection.sync()
  }

  handleRowDescription({ fields }: { fields: readonly { name: string; dataTypeID: number }[] }) {
    this.#slots[this.#at]!.columns = fields.map(({ name, dataTypeID }) => ({ name, parse: this.#client.getTypeParser(dataTypeID, 'text') }))
  }

  handleDataRow({ fields }: { fields: readonly (string | null)[] }) {
    const slot = this.#slots[this.#at]!
    const row: Record<string, unknown> = {}
    try {
      for (let i = 0; i < fields.length; i++) {
        const [text, column] = [fields[i]!, slot.columns[i]!]
        row[column.name] = text === null ? null : column.parse(text)
      }
    } catch (error) {
      slot.broken = error as Error // pg would take it for an end of the connection
    }
    slot.rows.push(row)
  }

  handleCommandComplete({ text }: { text: string }) {
    const slot = this.#slots[this.#at++]!
    slot.tag = text
    if (slot.known) slot.known.columns ??= slot.columns
  }

  handleEmptyQuery() {
    this.handleCommandComplete({ text: '' })
  }

  handleReadyForQuery() {
    for (const slot of this.#slots) settle(slot)
    this.#end(false)
    this.callback()
  }

  handleError(error: Error) {
    for (const [i, slot] of this.#slots.entries()) {
      if (i < this.#at) settle(slot)
      else {
        if (slot.known && !slot.known.columns) slot.known.state = 'unsure'
        slot.reject(error)
      }
    }
    this.#end(true)
    this.callback()
  }
}
// Of a pipelining connection, pg takes no other.
Object.setPrototypeOf(Batch.prototype, pg.Query.prototype)

function settle({ broken, rows, tag, resolve, reject }: Slot): void {
  const words = tag.split(' ')
  if (broken) reject(broken)
  else resolve({ rows, command: words[0]!, rowCount: words.length > 1 ? Number(words.at(-1)) : null })
}
