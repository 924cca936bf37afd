import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Paths of PEM files, for one run: certificates of two authorities, each for `localhost`, 127.0.0.1 and ::1, as server and as client. */
export interface Certificates {
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** An authority that signed nothing of the above. */
  readonly otherCa: string
  readonly otherCert: string
  readonly otherKey: string
}

/** By the `openssl` of this machine; undefined, with a loud line, where there is none. */
export function makeCertificates(folder: string): Certificates | undefined {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
  } catch {
    console.warn('NO OPENSSL on the PATH: the tests of TLS are skipped (Debian: apt-get install openssl)')
    return undefined
  }
  const [one, two] = [make(folder, 'one'), make(folder, 'two')]
  return { ...one, otherCa: two.ca, otherCert: two.cert, otherKey: two.key }
}

function make(folder: string, name: string) {
  const path = (file: string) => join(folder, `${name}-${file}`)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe', cwd: folder })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  writeFileSync(
    path('cnf'),
    '[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\n[leaf]\nsubjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n',
  )
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
    '-days',
    '2',
    '-subj',
    `/CN=ca ${name}`,
    '-config',
    path('cnf'),
    '-extensions',
    'ca',
  )
  openssl('req', ...newKey, '-keyout', path('key.pem'), '-out', path('csr'), '-subj', '/CN=localhost', '-config', path('cnf'))
  const signing = [
    '-CA',
    path('ca.pem'),
    '-CAkey',
    path('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    path('cnf'),
    '-extensions',
    'leaf',
  ]
  openssl('x509', '-req', '-in', path('csr'), ...signing, '-out', path('cert.pem'))
  return { ca: path('ca.pem'), cert: path('cert.pem'), key: path('key.pem') }
}
