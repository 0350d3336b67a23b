import { backup } from './backup.ts'
import { cat } from './cat.ts'
import type { Command } from './command.ts'
import { conflicts } from './conflicts.ts'
import { docker } from './docker.ts'
import { extract } from './extract.ts'
import { fsck } from './fsck.ts'
import { gc } from './gc.ts'
import { history } from './history.ts'
import { info } from './info.ts'
import { forgetLogin, listLogins } from './login.ts'
import { ln } from './ln.ts'
import { ls } from './ls.ts'
import { merge } from './merge.ts'
import { mv } from './mv.ts'
import { peers } from './peers.ts'
import { promote } from './promote.ts'
import { purge } from './purge.ts'
import { put } from './put.ts'
import { resolve } from './resolve.ts'
import {
  addAdmin,
  createRealm,
  cutNode,
  inviteNode,
  joinRealm,
  leaveRealm,
  realmStatus,
  rotateKey,
  uncutNode,
} from './realm.ts'
import { restore } from './restore.ts'
import { rm } from './rm.ts'
import { status } from './status.ts'
import { crosstag, tag, untag } from './tag.ts'
import { createToken, listTokens, revokeToken } from './token.ts'
import { version } from './version.ts'

const serve: Command = {
  name: 'serve',
  usage: '',
  summary: 'run the node until it is told to stop',
  options: [{ name: 'json', help: 'say where everything is as one line of JSON' }],
  takes: [0, 0],
  showsSettings: true,
  run: ({ options, offline }) => offline().serve(options.flag('json')),
}

/** Every command, in the order of `zhub --help`. */
export const COMMANDS: readonly Command[] = [
  serve,
  put,
  docker,
  merge,
  extract,
  cat,
  ls,
  info,
  rm,
  mv,
  ln,
  tag,
  untag,
  crosstag,
  promote,
  history,
  conflicts,
  resolve,
  purge,
  status,
  peers,
  createRealm,
  inviteNode,
  joinRealm,
  realmStatus,
  cutNode,
  uncutNode,
  addAdmin,
  rotateKey,
  leaveRealm,
  createToken,
  listTokens,
  revokeToken,
  listLogins,
  forgetLogin,
  fsck,
  gc,
  backup,
  restore,
  version,
]
