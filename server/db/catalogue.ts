import type { ClientBase } from 'pg'

/**
 * A schema as a sorted listing, a line a thing: tables, columns, constraints, indexes, functions, grants; its name stands as `{s}`.
 * Two schemas of one version list alike; a partition does not count, since weeks come and go.
 */
export async function listSchema(client: Pick<ClientBase, 'query'>, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(listing, [schema])
  return rows.map(({ line }) => line.replaceAll(`${schema}.`, '{s}.').replaceAll(new RegExp(`\\b${schema}\\b`, 'g'), '{s}')).sort()
}

const listing = `
with s as (select oid, nspname, nspacl, nspowner from pg_namespace where nspname = $1),
tables as (select c.* from pg_class c join s on c.relnamespace = s.oid where c.relkind in ('r', 'p') and not c.relispartition)
select 'schema owner ' || pg_get_userbyid(nspowner) as line from s
union all
select 'table ' || relname || case relkind when 'p' then ' partitioned by ' || pg_get_partkeydef(oid) else '' end
  || coalesce(' with ' || array_to_string(reloptions, ', '), '') || ' owner ' || pg_get_userbyid(relowner) from tables
union all
select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
  || coalesce(case when a.attgenerated = 's' then ' generated ' else ' default ' end || pg_get_expr(d.adbin, d.adrelid), '')
  from tables c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
union all
select 'constraint ' || c.relname || ' ' || pg_get_constraintdef(k.oid) from tables c join pg_constraint k on k.conrelid = c.oid
union all
select 'index ' || pg_get_indexdef(i.indexrelid) from tables c join pg_index i on i.indrelid = c.oid where not i.indisprimary
union all
select 'function ' || p.oid::regprocedure || ' returns ' || pg_get_function_result(p.oid) || case when p.prosecdef then ' security definer' else '' end
  || coalesce(' set ' || array_to_string(p.proconfig, ', '), '') || ' owner ' || pg_get_userbyid(p.proowner)
  from pg_proc p join s on p.pronamespace = s.oid
union all
select 'trigger ' || pg_get_triggerdef(t.oid) from tables c join pg_trigger t on t.tgrelid = c.oid where not t.tgisinternal
union all
select 'grant ' || privilege_type || ' on schema to ' || case grantee when 0 then 'public' else pg_get_userbyid(grantee) end
  from s, aclexplode(nspacl) where grantee <> nspowner
union all
select 'grant ' || string_agg(a.privilege_type, ', ' order by a.privilege_type) || ' on ' || c.relname || ' to '
  || case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end
  from tables c, aclexplode(c.relacl) a where a.grantee <> c.relowner group by c.relname, a.grantee
union all
select 'grant ' || a.privilege_type || ' on function ' || p.oid::regprocedure || ' to '
  || case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end
  from pg_proc p join s on p.pronamespace = s.oid, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner`
