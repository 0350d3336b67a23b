import { setImmediate as turn } from 'node:timers/promises'
import { testPeerHost } from '../suites/peer-host.ts'
import { SimulatedNetwork } from '../doubles/simulated-network.ts'
import { Simulation } from '../doubles/simulation.ts'

testPeerHost(
  'SimulatedHost',
  async (context, count) => {
    const simulation = new Simulation(1)
    const network = new SimulatedNetwork(simulation)
    const hosts = Array.from({ length: count }, (_, at) => network.host(new Uint8Array(32).fill(at + 1)))
    for (const host of hosts) await host.start()
    context.after(() => Promise.all(hosts.map((host) => host.stop())))
    const settle = async <T>(waiting: Promise<T>): Promise<T> => {
      let isOver = false
      const over = () => (isOver = true)
      waiting.then(over, over)
      await turn()
      while (!isOver) await simulation.run(10)
      return await waiting
    }
    return { hosts, settle }
  },
  { isBounded: false },
)
