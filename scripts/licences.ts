import { existsSync, readFileSync } from 'node:fs'

/** What may go into a product under MIT without asking for more than its notice. */
const allowed = new Set([
  'MIT',
  'MIT-0',
  'ISC',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
  'PostgreSQL',
  'Zlib',
])

interface LockedPackage {
  version?: string
  license?: string
  dev?: boolean
  link?: boolean
}

/** The production dependencies, direct or not, whose licence is not on the list: `name version (licence)`. */
export function forbiddenLicences(lockFile: string): string[] {
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, LockedPackage> }
  return Object.entries(packages).flatMap(([path, locked]) => {
    if (!path.includes('node_modules/') || locked.dev || locked.link) return []
    const licence = locked.license ?? installedLicence(path)
    return licence !== undefined && isAllowed(licence) ? [] : [`${path} ${locked.version} (${licence ?? 'no licence named'})`]
  })
}

/** An SPDX expression: of an OR one suffices, of an AND all must do. */
export function isAllowed(expression: string): boolean {
  const bare = expression.trim().replace(/^\((.*)\)$/, '$1')
  return bare.split(/ OR /).some((either) => either.split(/ AND /).every((licence) => allowed.has(licence.replace(/[()]/g, '').trim())))
}

function installedLicence(path: string): string | undefined {
  const file = `${path}/package.json`
  if (!existsSync(file)) return undefined
  const { license } = JSON.parse(readFileSync(file, 'utf8')) as { license?: string | { type?: string } }
  return typeof license === 'object' ? license.type : license
}
