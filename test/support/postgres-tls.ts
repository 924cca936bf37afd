import { readFile } from 'node:fs/promises'
import { connectOnce } from '../../server/db/connect.js'
import type { Certificates } from './certificates.js'

/**
 * Every login but the superuser's must use TLS from now on, and show a certificate of the authority; its password is asked for all the same.
 * By SQL alone, since PostgreSQL's files may be another user's.
 */
export async function demandTls(superuserUrl: string, { ca, cert, key }: Certificates): Promise<void> {
  const superuser = await connectOnce(superuserUrl)
  const write = async (file: string, text: string) => {
    const lines = text.trimEnd().split('\n')
    const quoted = lines.map((line) => superuser.escapeLiteral(line)).join(', ')
    await superuser.query(`copy (select unnest(array[${quoted}])) to program 'cat > ${file} && chmod 600 ${file}'`)
  }
  try {
    for (const [name, path] of Object.entries({ ssl_ca_file: ca, ssl_cert_file: cert, ssl_key_file: key })) {
      await write(`${name}.pem`, await readFile(path, 'utf8'))
      await superuser.query(`alter system set ${name} = '${name}.pem'`)
    }
    await write(
      'pg_hba.conf',
      `host all ${new URL(superuserUrl).username} 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n`,
    )
    await superuser.query('alter system set ssl = on')
    await superuser.query('select pg_reload_conf()')
  } finally {
    await superuser.end()
  }
}
