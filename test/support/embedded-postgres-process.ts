import { startEmbeddedPostgres } from '../../server/dev/postgres.js'

/** A server's share of its database, as a process that tests may kill: starts it, says one line, and stops it on SIGTERM. */
const said: string[] = []
try {
  const postgres = await startEmbeddedPostgres({ dataDir: process.argv[2]!, fsync: false, log: (line) => said.push(line) })
  const { port, freshlyMade, dataPath } = postgres
  console.log(JSON.stringify({ port, freshlyMade, dataPath, url: postgres.superuserUrl(), said }))
  const alive = setInterval(() => {}, 2 ** 30)
  process.once('SIGTERM', () => {
    clearInterval(alive)
    void postgres.stop()
  })
} catch (err) {
  const { name, message } = err as Error
  console.log(JSON.stringify({ error: name, message }))
}
