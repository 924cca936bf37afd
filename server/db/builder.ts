import {
  type CompiledQuery,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
} from 'kysely'
import type { Result } from './batch.js'
import { type Statement, statement } from './statement.js'

/** A compiled query that remembers the role it was built for and the transaction it belongs to. */
export type OwnedQuery = CompiledQuery & { readonly role?: string; readonly owner?: symbol }

const compiler = new PostgresQueryCompiler()
const adapter = new PostgresAdapter()
/** A Kysely over one schema whose awaited queries run by `run`; what is compiled says whose it is. */
export function builder<DB>(schema: string, role: string, owner: symbol, run: (query: Statement) => Promise<Result>): Kysely<DB> {
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
  return new Kysely<DB>({
    dialect: {
      createDriver: () => driver,
      createQueryCompiler: () => ({ compileQuery }),
      createAdapter: () => adapter,
      createIntrospector: (db) => new PostgresIntrospector(db),
    },
  }).withSchema(schema)
}
