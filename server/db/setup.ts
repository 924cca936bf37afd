/** Names of the logins, as their URLs say. */
export interface Logins {
  readonly app: string
  readonly migrator: string
  readonly relay: string
  readonly retention: string
}

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`

/**
 * All that needs a superuser, run once in the service's database; again, it mends what is missing or wrong. `passwords` are the made ones of
 * development; where they are absent the text is for a person, and psql's variables stand in their place: whoever forgets one makes no login.
 */
export function setupSql(logins: Logins, database: string, passwords?: Record<keyof Logins, string>): string {
  // Two steps, because there is no CREATE ROLE IF NOT EXISTS, and one that exists may have been made otherwise.
  const role = (name: string, attributes: string) =>
    `do $$ begin create role ${quoted(name)}; exception when duplicate_object then null; end $$;\nalter role ${quoted(name)} ${attributes};`
  const login = (kind: keyof Logins) => {
    const secret = passwords ? literal(passwords[kind]) : `:'${kind}_password'`
    return role(logins[kind], `login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls password ${secret}`)
  }
  return `${role('platform_owner', 'nologin noinherit createrole')}
${(['app', 'migrator', 'relay', 'retention'] as const).map(login).join('\n')}
grant platform_owner to ${quoted(logins.migrator)};
alter role ${quoted(logins.migrator)} set role = platform_owner;
alter database ${quoted(database)} owner to platform_owner;
revoke execute on function pg_catalog.set_config(text, text, boolean) from public;
grant execute on function pg_catalog.set_config(text, text, boolean) to platform_owner;
revoke temporary on database ${quoted(database)} from public;
`
}
