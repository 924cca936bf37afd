import pg from 'pg'

const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils

/** One message to PostgreSQL. `role` is the database role that it needs; undefined: any will do. */
export interface Statement {
  readonly role: string | undefined
  readonly text: string
  readonly values: readonly unknown[]
  /** What to throw if a row count or a guard of it fails. */
  readonly otherwise?: Error | undefined
  /** It will hardly come again, so it is not prepared. */
  readonly once?: boolean
}

/** Serialises the values now: pg would drop a statement that it cannot serialise and still send the COMMIT behind it. */
export function statement(text: string, values: readonly unknown[] = [], role?: string): Statement {
  return { role, text, values: values.map((value) => prepareValue(value)) }
}

/** Fails the transaction with `otherwise` unless the writing statement touches exactly `rows` rows. */
export function expecting(write: Statement, rows: number, otherwise?: Error): Statement {
  const count = `$${write.values.length + 1}`
  return {
    ...write,
    otherwise,
    text: `with w as (${write.text} returning 1) select lib.require_rows((select count(*) from w), ${count})`,
    values: [...write.values, String(rows)],
  }
}

/** Fails the transaction with `otherwise` unless the query finds a row. */
export function mustFind(query: Statement, otherwise?: Error): Statement {
  return { ...query, otherwise, text: `select lib.require_rows(exists(${query.text})::int, 1)` }
}
