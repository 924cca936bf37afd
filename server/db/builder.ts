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

/** A Kysely over one schema whose awaited queries run by `run`; what is compiled says whose it is. */
export function builder<DB>(schema: string, role: string, owner: symbol, run: (query: Statement) => Promise<pg.QueryResult>): Kysely<DB> {
  class Compiler extends PostgresQueryCompiler {
    override compileQuery(...args: Parameters<QueryCompiler['compileQuery']>) {
      return { ...super.compileQuery(...args), role, owner }
    }
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
  return new Kysely<DB>({
    dialect: {
      createDriver: () => driver,
      createQueryCompiler: () => new Compiler(),
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db) => new PostgresIntrospector(db),
    },
  }).withSchema(schema)
}
