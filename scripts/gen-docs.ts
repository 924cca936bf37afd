// Writes the pages that a program makes; `npm run check` refuses a difference.
import { writeFileSync } from 'node:fs'
import { configurationPage } from '../server/config.js'

writeFileSync('docs/configuration.md', configurationPage())
