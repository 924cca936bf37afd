import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'

// The limit of any unary RPC: grpc-js alone, which gives the bytes back as they came.
const asIs = (bytes: Buffer) => bytes
const server = new Server({ 'grpc.enable_channelz': 0 })
server.addService(
  {
    echo: {
      path: '/bench.Echo/Echo',
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  },
  { echo: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => answer(null, call.request) },
)
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (err, port) => {
  process.send!(err ? { error: err.message } : { port })
})
