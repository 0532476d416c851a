// A stream of Rowmill in JavaScript: `serve` runs a function for each task that the worker sends. It needs Node 18 alone.
//
//     import { serve } from './rowmill_stream.mjs'
//
//     await serve(async (param, task) => {
//       return { width: param.width / 2 }      // the result: undefined, a text, a Buffer, or anything that has a JSON
//     })
//
// `task` is the task's line as an object: id, job, attempt, max_attempts, priority, worker, idempotency_key, codec. An error that
// is thrown is a failed attempt, tried again later; Reject says that no attempt can succeed, Snooze that it is too early. What
// the function prints goes to the log. docs/stream.md has the protocol.

import { read, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

/** No attempt can succeed: the task is dead at once. */
export class Reject extends Error {}

/** Not yet: the task runs again after `ms` milliseconds. That costs no attempt. */
export class Snooze extends Error {
  constructor(ms) {
    super(`again in ${ms} ms`)
    this.ms = ms
  }
}

/** Calls `handle(param, task)` for each task, one after the other, until the worker closes the standard input. */
export async function serve(handle) {
  // The answers have the standard output for themselves: what is printed goes to the standard error, and so to the log.
  Object.defineProperty(process, 'stdout', { get: () => process.stderr })
  const tokens = process.env.ROWMILL_STREAM === 'tokens'
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity })[Symbol.asyncIterator]()
  for (;;) {
    // Before it begins a task, it takes the task's token. A line before that of the token was called back.
    const mark = tokens ? await nextMark() : ''
    if (mark === null) return
    let { value: line, done } = await lines.next()
    while (!done && !line.slice(0, 40).includes(mark)) ({ value: line, done } = await lines.next())
    if (done) return
    answer(await run(handle, line))
  }
}

const readFrom = promisify(read)

async function nextMark() {
  const byte = Buffer.alloc(1)
  const { bytesRead } = await readFrom(3, byte, 0, 1, null)
  return bytesRead === 1 ? `,"token":${byte[0]},` : null
}

async function run(handle, line) {
  // The id always stands first.
  const id = Number.parseInt(line.slice(6), 10)
  let task
  try {
    task = JSON.parse(line)
    if (task.param_base64 !== undefined) task.param = Buffer.from(task.param_base64, 'base64')
  } catch (e) {
    return { id, ok: false, reject: true, error: `its line cannot be read: ${e.message}` }
  }
  try {
    const result = await handle(task.param, task)
    if (result === undefined || result === null) return { id, ok: true }
    if (Buffer.isBuffer(result)) return { id, ok: true, result_base64: result.toString('base64') }
    return { id, ok: true, result }
  } catch (e) {
    if (e instanceof Snooze) return { id, ok: false, snooze_ms: e.ms }
    if (e instanceof Reject) return { id, ok: false, reject: true, error: e.message }
    console.error(e)
    return { id, ok: false, error: String(e) }
  }
}

function answer(value) {
  const bytes = Buffer.from(JSON.stringify(value) + '\n')
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(1, bytes, sent)
}
