#!/usr/bin/env node
'use strict'
// Starts an ilp-connector of its own on 127.0.0.1, with its configuration from a file.
//
//   node connector.js CONFIG.json
//
// Prints one line, READY and a JSON object, once every account's port is open; SIGTERM ends it.

const fs = require('fs')

const HOST = '127.0.0.1'
const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))

for (const [name, account] of Object.entries(config.accounts)) {
  account.plugin = require.resolve(account.plugin)
  // The plug-ins listen on every interface unless they are told which: one by its port, an object, the other by wsOpts.
  const { incoming, outgoing, listener } = account.options
  if (incoming) incoming.port = { port: incoming.port, host: HOST }
  if (outgoing) outgoing.name = name
  if (listener) listener.wsOpts = { port: listener.port, host: HOST }
}

// Its log would go to stdout, where READY is waited for.
require('ilp-connector/dist/common/log').setOutputStream(process.stderr)
const app = require('ilp-connector').createApp(config)

async function run () {
  await app.listen()
  for (const name of Object.keys(config.accounts)) {
    const server = app.getPlugin(name)._httpServer // connect() returns before it listens
    if (server && !server.listening) await new Promise(resolve => server.once('listening', resolve))
  }
  console.log('READY ' + JSON.stringify({
    pid: process.pid,
    version: require('ilp-connector/package.json').version,
    node: process.version
  }))
}

process.on('SIGTERM', () => process.exit(0))
run().catch(error => { console.error(error); process.exit(1) })
