import { setupSql } from '../server/db/setup.js'

/** `deploy/postgres-setup.sql`, whole. */
export function setupPage(): string {
  const names = { app: 'customer_app', migrator: 'customer_migrator', relay: 'customer_relay', retention: 'customer_retention' }
  const head = [
    '-- Once, by a superuser, in the database of the service; again, it mends what is missing. Made by `npm run gen`.',
    '-- psql -v app_password=… -v migrator_password=… -v relay_password=… -v retention_password=… -d customer -f postgres-setup.sql',
  ]
  return `${head.join('\n')}\n${setupSql(names, 'customer')}`
}
