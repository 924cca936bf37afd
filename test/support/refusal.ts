import { RpcError } from './client.js'

/** How a call was refused; throws if it was not. */
export async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const answer = await call.then(
    (value) => ({ value }),
    (err: unknown) => err,
  )
  if (answer instanceof RpcError) return answer
  if (answer instanceof Error) throw answer
  throw new Error(`was not refused: ${JSON.stringify(answer)}`)
}
