/** Names of the logins, as their URLs say. */
export interface Logins {
  readonly app: string
  readonly migrator: string
  readonly relay: string
  readonly retention: string
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/**
 * All that needs a superuser, run once in the service's database. `passwords` are the made ones of development; where they are absent the text is for
 * a person, who puts them in.
 */
export function setupSql(logins: Logins, database: string, passwords?: Record<keyof Logins, string>): string {
  const login = (kind: keyof Logins) => {
    const secret = passwords ? ` password '${passwords[kind].replaceAll("'", "''")}'` : " password '…'"
    return `create role ${quoted(logins[kind])} login noinherit nosuperuser nocreatedb nocreaterole nobypassrls${secret};`
  }
  return `create role platform_owner nologin noinherit createrole;
${(['app', 'migrator', 'relay', 'retention'] as const).map(login).join('\n')}
grant platform_owner to ${quoted(logins.migrator)};
alter role ${quoted(logins.migrator)} set role = platform_owner;
alter database ${quoted(database)} owner to platform_owner;
revoke execute on function pg_catalog.set_config(text, text, boolean) from public;
grant execute on function pg_catalog.set_config(text, text, boolean) to platform_owner;
revoke temporary on database ${quoted(database)} from public;
`
}
