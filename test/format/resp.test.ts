import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MalformedError } from '../../src/errors.ts'
import { encodeError, encodeInteger, encodeRequest, RequestParser } from '../../src/format/resp.ts'
import { MIB } from '../../src/util/units.ts'
import { fuzzRuns } from '../doubles/golden.ts'

const LIMITS = { maxArguments: 1024, maxArgumentBytes: MIB }
const RUNS = fuzzRuns(300)

function parseAll(pieces: readonly Uint8Array[], parser = new RequestParser(LIMITS)): string[][] {
  const requests: string[][] = []
  for (const piece of pieces) {
    parser.push(piece)
    for (let request = parser.next(); request !== undefined; request = parser.next()) {
      requests.push(request.map((arg) => Buffer.from(arg).toString('latin1')))
    }
  }
  return requests
}

function complaint(text: string): string {
  try {
    parseAll([Buffer.from(text, 'latin1')])
  } catch (error) {
    assert.ok(error instanceof MalformedError)
    return error.message
  }
  return 'none'
}

describe('RequestParser', () => {
  it('reads one request, an argument as a view of the piece', () => {
    const piece = Buffer.from('*2\r\n$3\r\nGET\r\n$4\r\n\r\n\0\xff\r\n', 'latin1')
    const parser = new RequestParser(LIMITS)
    parser.push(piece)
    const request = parser.next()
    assert.equal(request?.length, 2)
    assert.equal(request[1]?.buffer, piece.buffer)
    assert.equal(Buffer.from(request[1]).toString('latin1'), '\r\n\0\xff')
    assert.equal(parser.next(), undefined)
    assert.equal(parser.bufferedBytes, 0)
  })

  it('gives the same requests wherever the stream is cut', () => {
    const requests = fc.array(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(requests, fc.array(fc.nat({ max: 4000 })), (sent, cuts) => {
        const stream = Buffer.concat(sent.map((args) => encodeRequest(args)))
        const at = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b)
        const pieces = [...at, stream.length].map((end, i) => stream.subarray(at[i - 1] ?? 0, end))
        const expected = sent.map((args) => args.map((arg) => Buffer.from(arg).toString('latin1')))
        assert.deepEqual(parseAll(pieces), expected)
        assert.deepEqual(parseAll(Array.from(stream, (byte) => Uint8Array.of(byte))), expected)
      }),
      { numRuns: RUNS },
    )
  })

  it('keeps its own copy of the arguments of a request that is not complete', () => {
    const parser = new RequestParser(LIMITS)
    const piece = Buffer.from('*2\r\n$3\r\nGET\r\n$4\r\n')
    parser.push(piece)
    assert.equal(parser.next(), undefined)
    piece.fill(0)
    parser.push(Buffer.from('abcd\r\n'))
    assert.deepEqual(
      parser.next()?.map((arg) => Buffer.from(arg).toString()),
      ['GET', 'abcd'],
    )
  })

  it('complains in the words of 0-db', () => {
    assert.equal(complaint('PING\r\n'), 'Malformed request, array expected')
    assert.equal(complaint('*x\r\n'), 'Malformed request, array expected')
    assert.equal(complaint('*-1\r\n'), 'Malformed request, array expected')
    assert.equal(complaint('*\r\n'), 'Malformed request, array expected')
    assert.equal(complaint('*1\n$4\r\n'), 'Malformed request, array expected')
    assert.equal(complaint('*0\r\n'), 'Missing arguments')
    assert.equal(complaint('*1025\r\n'), 'Too many arguments')
    assert.equal(complaint('*123456789\r\n'), 'Malformed request, array expected')
    assert.equal(complaint('*1\r\n:4\r\n'), 'Malformed query string')
    assert.equal(complaint('*1\r\n$-1\r\n'), 'Malformed query string')
    assert.equal(complaint('*1\r\n$4\r\nPINGxx'), 'Malformed query string')
    assert.equal(complaint('*1\r\n$1048577\r\n'), 'Payload too big')
    assert.equal(complaint('*1\r\n$1048576\r\n'), 'none')
    assert.equal(complaint('*1024\r\n$4\r\nMGET\r\n'), 'none')
  })

  it('keeps no more of a request than the limits allow', () => {
    const parser = new RequestParser(LIMITS)
    const value = Buffer.alloc(MIB)
    parser.push(Buffer.from('*3\r\n$3\r\nSET\r\n$1048576\r\n'))
    assert.equal(parser.next(), undefined)
    assert.ok(parser.bufferedBytes < 100, 'nothing is kept for bytes that have not come')
    for (let at = 0; at < value.length; at += 1000) {
      parser.push(value.subarray(at, at + 1000))
      assert.equal(parser.next(), undefined)
      assert.ok(parser.bufferedBytes <= 2 * Math.max(at + 1000, 8192))
    }
    parser.push(Buffer.from('\r\n$65537\r\n'))
    assert.throws(() => parser.next(), /Payload too big/, 'a second large argument')
  })

  it('cuts what it was told not to keep', () => {
    for (const size of [1, 7, 5000]) {
      const parser = new RequestParser(LIMITS)
      parser.keepBytes = 16
      const stream = encodeRequest([
        'SET',
        Buffer.alloc(17, 'k'),
        Buffer.alloc(4000, 'v'),
        Buffer.alloc(16, 'x'),
      ])
      const pieces: Uint8Array[] = []
      for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size))
      const [request] = parseAll(pieces, parser)
      assert.deepEqual(request, ['SET', 'k'.repeat(16), 'v'.repeat(16), 'x'.repeat(16)])
    }
  })

  it('answers noise with requests, patience or a complaint, and never holds more than came', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .array(fc.constantFrom('*', '$', '\r\n', '1', '2', '3', '9', '-', 'GET', '\0', 'x'))
        .map((words) => Buffer.from(words.join(''))),
    )
    fc.assert(
      fc.property(fc.array(noise), (pieces) => {
        const parser = new RequestParser(LIMITS)
        let sent = 0
        try {
          for (const piece of pieces) {
            parser.push(piece)
            sent += piece.length
            while (parser.next() !== undefined);
            assert.ok(parser.bufferedBytes <= 2 * sent + 4096)
          }
        } catch (error) {
          assert.ok(error instanceof MalformedError, String(error))
        }
      }),
      { numRuns: RUNS },
    )
  })
})

describe('encoders of replies', () => {
  it('keep an error on one line', () => {
    assert.equal(Buffer.from(encodeError('two\r\nlines\nhere')).toString(), '-two lines here\r\n')
    assert.ok(encodeError('x'.repeat(5000)).length < 600)
  })

  it('write numbers in digits', () => {
    assert.equal(Buffer.from(encodeInteger(0)).toString(), ':0\r\n')
    assert.equal(Buffer.from(encodeInteger(2 ** 40)).toString(), ':1099511627776\r\n')
  })
})
