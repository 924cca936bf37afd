import { create, type DescExtension, type DescFile, toBinary } from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { registry, services } from '../contract/descriptors.js'
import { shuttingDown } from './health.js'
import type { Service } from './kernel.js'

export interface Reflection {
  readonly service: Service
  /** Ends the streams that are open. */
  end(): void
}

/**
 * grpc.reflection.v1, and v1alpha, which is the same on the wire: serves the compiled descriptors as they are, comments left out. The few
 * messages are written by hand: four kinds of questions, four of answers.
 */
export function createReflection(version: 'v1' | 'v1alpha'): Reflection {
  const name = `grpc.reflection.${version}.ServerReflection`
  const open = new Set<ServerDuplexStream<Question, Buffer>>()
  const info = (wire: ServerDuplexStream<Question, Buffer>) => {
    open.add(wire)
    wire.on('close', () => open.delete(wire))
    wire.on('data', (question: Question) => wire.write(answerTo(question)))
    wire.on('end', () => wire.end())
  }
  const asIs = (bytes: Buffer) => bytes
  const method = {
    path: `/${name}/ServerReflectionInfo`,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: read,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  }
  return {
    service: { name, definition: { info: method }, implementation: { info } },
    end() {
      for (const wire of open) wire.emit('error', shuttingDown)
    },
  }
}

/** ServerReflectionRequest: which field of the oneof is set (0: none that we know), and what it holds. */
interface Question {
  readonly bytes: Buffer
  readonly kind: number
  readonly text: string
  /** Of file_containing_extension. */
  readonly number: number
}
const byFilename = 3
const bySymbol = 4
const byExtension = 5
const extensionNumbers = 6
const listServices = 7

function read(bytes: Buffer): Question {
  try {
    return fields(bytes, bytes)
  } catch {
    return { bytes, kind: 0, text: '', number: 0 }
  }
}

function fields(bytes: Buffer, whole: Buffer): Question {
  let question: Question = { bytes: whole, kind: 0, text: '', number: 0 }
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [kind, wireType] = reader.tag()
    if (wireType === WireType.LengthDelimited && kind === byExtension) {
      question = { ...question, kind, ...extensionOf(reader.bytes()) }
    } else if (wireType === WireType.LengthDelimited && kind >= byFilename && kind <= listServices) {
      question = { ...question, kind, text: reader.string() }
    } else reader.skip(wireType, kind)
  }
  return question
}

function extensionOf(bytes: Uint8Array): { text: string; number: number } {
  let text = ''
  let number = 0
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === 1 && wireType === WireType.LengthDelimited) text = reader.string()
    else if (field === 2 && wireType === WireType.Varint) number = reader.int32()
    else reader.skip(wireType, field)
  }
  return { text, number }
}

/** ServerReflectionResponse: the question again, and one of its answers. */
function answerTo(question: Question): Buffer {
  const writer = new BinaryWriter().uint32(18).bytes(question.bytes)
  const { kind, text } = question
  if (kind === listServices) {
    writer.uint32(50).fork()
    for (const service of services()) writer.uint32(10).fork().uint32(10).string(service.typeName).join()
    return Buffer.from(writer.join().finish())
  }
  if (kind === extensionNumbers && registry.getMessage(text)) {
    writer.uint32(42).fork().uint32(10).string(text)
    for (const extension of extensionsOf(text)) writer.uint32(16).int32(extension.number)
    return Buffer.from(writer.join().finish())
  }
  const file = fileFor(question)
  if (!file) {
    const message = kind === 0 ? 'no question' : `not found: ${text.slice(0, 200)}`
    const code = kind === 0 ? status.INVALID_ARGUMENT : status.NOT_FOUND
    return Buffer.from(writer.uint32(58).fork().uint32(8).int32(code).uint32(18).string(message).join().finish())
  }
  writer.uint32(34).fork()
  for (const it of withImports(file)) writer.uint32(10).bytes(bytesOf(it))
  return Buffer.from(writer.join().finish())
}

function fileFor({ kind, text, number }: Question): DescFile | undefined {
  if (kind === byFilename) return registry.getFile(text)
  if (kind === byExtension) return extensionsOf(text).find((it) => it.number === number)?.file
  if (kind !== bySymbol) return undefined
  // A method, field or enum value lies in the file of what it stands in.
  return (registry.get(text) ?? registry.get(text.slice(0, Math.max(0, text.lastIndexOf('.')))))?.file
}

const extensionsOf = (typeName: string): DescExtension[] =>
  [...registry].filter((it) => it.kind === 'extension').filter((it) => it.extendee.typeName === typeName)

function withImports(file: DescFile, seen = new Set<DescFile>()): Set<DescFile> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const it of file.dependencies) withImports(it, seen)
  return seen
}

const encoded = new Map<DescFile, Uint8Array>()

function bytesOf(file: DescFile): Uint8Array {
  const known = encoded.get(file)
  if (known) return known
  const bytes = toBinary(FileDescriptorProtoSchema, create(FileDescriptorProtoSchema, { ...file.proto, sourceCodeInfo: undefined! }))
  encoded.set(file, bytes)
  return bytes
}
