import {
  type CompiledQuery,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
} from 'kysely'
import type pg from 'pg'
import { type Statement, statement } from './statement.js'

/** A compiled query that remembers the role it was built for and the transaction it belongs to. */
export type OwnedQuery = CompiledQuery & { readonly role?: string; readonly owner?: symbol }

const compiler = new PostgresQueryCompiler()
const adapter = new PostgresAdapter()
const owners = new WeakMap<object, { readonly role: string; readonly owner: symbol }>()

/** A query that was compiled before, as this builder's own, with other parameters. */
export function adopted<R>(builder: Kysely<never>, query: CompiledQuery<R>, parameters: readonly unknown[]): CompiledQuery<R> {
  const made: CompiledQuery<R> & OwnedQuery = { ...query, parameters, ...owners.get(builder) }
  return made
}

/** A Kysely over one schema whose awaited queries run by `run`; what is compiled says whose it is. */
export function builder<DB>(schema: string, role: string, owner: symbol, run: (query: Statement) => Promise<pg.QueryResult>): Kysely<DB> {
  // A compiler of one's own for each transaction would cost more than most compilations.
  const compileQuery: QueryCompiler['compileQuery'] = (node, id) => {
    const compiled: CompiledQuery & OwnedQuery = { ...compiler.compileQuery(node, id), role, owner }
    return compiled as never
  }
  const refuse = () => {
    throw new Error('the kernel owns the transaction; page by key')
  }
  const nothing = async () => {}
  const executeQuery = async (query: CompiledQuery) => {
    const result = await run(statement(query.sql, query.parameters, role))
    return { rows: result.rows, numAffectedRows: BigInt(result.rowCount ?? 0) }
  }
  const driver: Driver = {
    init: nothing,
    destroy: nothing,
    releaseConnection: nothing,
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    acquireConnection: async () => ({ executeQuery, streamQuery: refuse }) as never,
  }
  const made = new Kysely<DB>({
    dialect: {
      createDriver: () => driver,
      createQueryCompiler: () => ({ compileQuery }),
      createAdapter: () => adapter,
      createIntrospector: (db) => new PostgresIntrospector(db),
    },
  }).withSchema(schema)
  owners.set(made, { role, owner })
  return made
}
