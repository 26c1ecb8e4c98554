'use strict'
// A child of the node under test that asks it for its address (ilp-protocol-ildcp).
//   node ildcp_child.js '{"listen",…}'  or  '{"btp":{"server":"btp+ws://…"}}'
// Prints `TOLD {"clientAddress","assetCode","assetScale"}` once it is connected, and again for each line on stdin.
const readline = require('readline')
const ILDCP = require('ilp-protocol-ildcp')
const createPlugin = require('./plugin')

const plugin = createPlugin(JSON.parse(process.argv[2]))

async function ask () {
  const { clientAddress, assetCode, assetScale } = await ILDCP.fetch(plugin.sendData.bind(plugin))
  console.log('TOLD ' + JSON.stringify({ clientAddress, assetCode, assetScale }))
}

async function main () {
  await plugin.connect()
  await ask()
  // eslint-disable-next-line no-unused-vars
  for await (const _ of readline.createInterface({ input: process.stdin })) await ask()
  process.exit(0)
}

main().catch(error => { console.error(error); process.exit(1) })
