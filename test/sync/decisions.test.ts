/** What a realm decides must be known at once: a cut that is heard of a minute later is a minute too late. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SECOND_MS } from '../../src/util/units.ts'
import { Farm } from './farm.ts'
import { encodeCut, keyOf } from './simulated-node.ts'

/** A hint after 200 ms and a pull over 40 ms links, twice; the next pull that nobody asked for is 30 s away or more. */
const TWO_HOPS_MS = 3 * SECOND_MS

describe('a decision of the realm', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    it(`reaches a node two hops away within moments (seed ${seed})`, async () => {
      const farm = new Farm(seed)
      const [first, , last] = farm.nodes.map(({ key }) => key.publicKey)
      farm.network.cut(first ?? assert.fail(), last ?? assert.fail())
      for (const one of farm.nodes) await one.start()
      // Long enough for the hurry of the start to be over, and not for the first pull that comes by itself.
      await farm.simulation.run(10 * SECOND_MS)
      const cut = encodeCut({ node: keyOf(9).publicKey, ends: new Map() })
      farm.at(0).decide(cut)
      await farm.simulation.run(TWO_HOPS_MS)
      assert.deepEqual(
        farm.nodes.map((one) => one.knows(cut)),
        [true, true, true],
      )
      farm.stop()
    })
  }
})
