// Writes the pages that a program makes; `npm run check` refuses a difference.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { configurationPage } from '../server/config-page.js'
import { services } from '../server/contract/descriptors.js'
import { documents } from './documents.js'
import { kongView } from './kong-view.js'
import { setupPage } from './setup-page.js'

writeFileSync('docs/configuration.md', configurationPage())

rmSync('deploy/kong/proto', { recursive: true, force: true })
mkdirSync('deploy/kong/proto', { recursive: true })
for (const [name, text] of kongView(services())) writeFileSync(`deploy/kong/proto/${name}`, text)
writeFileSync('deploy/postgres-setup.sql', setupPage())
for (const [name, text] of documents()) writeFileSync(`docs/${name}`, text)
