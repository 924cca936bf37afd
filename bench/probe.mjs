import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { createServer } from 'node:net'
import { dirname } from 'node:path'

// Loaded into a server under measurement (`node --import`): whoever connects to the socket BENCH_PROBE is told the CPU time that this process
// has used, in µs. With BENCH_PROFILE, `start` and `stop` instead take a CPU profile into that file.
const session = new Session()
const { BENCH_PROBE, BENCH_PROFILE } = process.env
// Its own children, if any, are not measured, and the service refuses nothing that it does not know.
delete process.env.NODE_OPTIONS

createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', (bytes) => {
    const what = String(bytes)
    if (what === 'start' && BENCH_PROFILE) {
      session.connect()
      session.post('Profiler.enable')
      session.post('Profiler.start', () => socket.end('started'))
    } else if (what === 'stop' && BENCH_PROFILE) {
      session.post('Profiler.stop', (err, result) => {
        mkdirSync(dirname(BENCH_PROFILE), { recursive: true })
        if (!err) writeFileSync(BENCH_PROFILE, JSON.stringify(result.profile))
        socket.end('stopped')
      })
    } else {
      const { user, system } = process.cpuUsage()
      socket.end(String(user + system))
    }
  })
})
  .listen(BENCH_PROBE)
  .unref()
