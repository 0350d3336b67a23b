/** A farm made by the commands that an operator types, of real processes on loopback. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { folders, until, type Folder } from './realm-folder.ts'

describe('a farm', () => {
  it('is made by three commands while nodes run: content comes along, tokens are good everywhere, and void', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    const [onA, onB] = [await a.start(), await b.start()]
    await a.put('one', 'a')
    await b.put('two', 'b')
    const early = await a.attempt('realm', 'invite')
    assert.match(early.stderr, /realm create/)
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    const invite = await a.zhub('realm', 'invite')
    assert.match(invite, /^zhub1:[\w-]+$/)
    await b.zhub('realm', 'join', invite, '--as', 'second')
    const [viewA, viewB] = [await a.view(), await b.view()]
    assert.equal(viewB?.realm, viewA?.realm)
    assert.equal(viewB?.name, 'farm')
    assert.deepEqual(viewA?.members.map(({ name }) => name).sort(), ['first', 'second'])
    assert.ok((await b.list()).includes('two.flist'))
    await b.fsck()

    const token = await a.zhub('token', 'create', 'alice')
    await until('a token of A is good on B', () => b.signsIn(token))
    assert.ok(await b.signsIn(onA.token))
    assert.ok(await a.signsIn(onB.token))
    await until('everything is on both', async () => {
      const [left, right] = [await a.list(), await b.list()]
      return left.length === 2 && right.length === 2
    })
    await a.zhub('token', 'revoke', 'alice')
    await until('what A revoked is void on B', async () => !(await b.signsIn(token)))

    const again = await b.attempt('realm', 'join', invite)
    assert.equal(again.code, 1)
    assert.match(again.stderr, /in that realm already/)
    assert.equal((await b.attempt('realm', 'cut', 'first')).code, 4)

    await a.zhub('realm', 'cut', 'second')
    await until('the tokens of a node that was cut are void', async () => !(await a.signsIn(onB.token)))
    assert.equal((await a.view())?.members.find(({ name }) => name === 'second')?.state, 'cut')
    await until('B hears that it was cut', async () => (await b.status())?.cut === true)
    const refused = await b.upload('late', 'c')
    assert.equal(refused.status, 403)
    assert.match(refused.text, /cut from its realm farm.*zhub realm uncut second.*zhub realm leave/)
    assert.equal((await b.attempt('rm', 'Administrator/two.flist')).code, 4)
    assert.match(await b.zhub('status'), /writes +refused: this node was cut/)
    assert.match(onB.log(), /cut from its realm farm/)
    await a.zhub('realm', 'uncut', 'second')
    assert.ok(await a.signsIn(onB.token))
    await until('B hears that it counts again', async () => (await b.status())?.cut === false)
    await b.put('late', 'c')
    await until('it counts on A', async () => (await a.list()).includes('late.flist'))
  })

  it('takes a node in that was told before it ran, once its inviter answers; an invite is good once', async (context) => {
    const [a, b, c] = (await folders(context, 3)) as [Folder, Folder, Folder]
    await a.start()
    await a.zhub('realm', 'create', 'farm')
    const invite = await a.zhub('realm', 'invite')
    const stored = await b.attempt('realm', 'join', invite)
    assert.match(stored.stderr, /zhub serve joins/)
    await b.start()
    await until('B joins', async () => (await b.view())?.name === 'farm')
    await a.zhub('realm', 'invite')
    await c.start()
    const used = await c.attempt('realm', 'join', invite)
    assert.equal(used.code, 4)
    assert.match(used.stderr, /was used, or has ended/)
    assert.equal((await c.view())?.name, '')
  })

  it('is left by a node with all it holds, and lets it come back', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    await a.start()
    await b.start()
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    await a.put('one', 'a')
    await b.zhub('realm', 'join', await a.zhub('realm', 'invite'), '--as', 'second')
    await until('B has what A has', async () => (await b.list()).length === 1)
    await until('B holds it', async () => ((await b.status())?.counts.chunks ?? 0) > 0)
    const unsure = await b.attempt('realm', 'leave')
    assert.equal(unsure.code, 2)
    assert.match(unsure.stderr, /--yes/)
    const left = await b.attempt('realm', 'leave', '--yes')
    assert.equal(left.code, 0, left.stderr)
    assert.match(left.stderr, /has left the realm farm and is alone: 1 name came along/)
    assert.notEqual((await b.view())?.realm, (await a.view())?.realm)
    assert.deepEqual(await b.list(), ['one.flist'])
    await b.fsck()
    await until(
      'A knows',
      async () => (await a.view())?.members.some(({ state }) => state === 'left') === true,
    )
    await b.zhub('realm', 'join', await a.zhub('realm', 'invite'), '--as', 'second')
    assert.equal((await b.view())?.realm, (await a.view())?.realm)
    await b.fsck()
    assert.equal((await a.attempt('realm', 'leave', '--yes')).code, 1)
  })

  it('gives a node another key, under which it goes on', async (context) => {
    const [a] = (await folders(context, 1)) as [Folder]
    await a.start()
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    await a.put('one', 'a')
    const before = await a.view()
    await a.zhub('realm', 'rotate')
    const after = await a.view()
    assert.notEqual(after?.node, before?.node)
    assert.deepEqual(await a.list(), ['one.flist'])
    await a.put('two', 'b')
    await a.fsck()
    await a.stop()
    await a.start()
    assert.equal((await a.view())?.node, after?.node)
    assert.equal((await a.list()).length, 2)
  })
})
