// Keeps the contract of this release: from now on `npm run check` refuses what would break it.
import { execFileSync } from 'node:child_process'

execFileSync('node_modules/.bin/buf', ['build', 'proto', '-o', 'proto/released.binpb'], { stdio: 'inherit' })
console.log('proto/released.binpb is the contract of this release: commit it')
