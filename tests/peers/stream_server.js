'use strict'
// A STREAM receiver (ilp-protocol-stream) behind the node under test.
//   node stream_server.js '{"listen":…,"url":…,"incomingToken":…,"outgoingToken":…}'
// Prints `READY {"address","sharedSecret"}`; answers each line on stdin with `TOTAL {"received","connections"}`.
const { createServer } = require('ilp-protocol-stream')
const createPlugin = require('./plugin')

async function main () {
  const server = await createServer({ plugin: createPlugin(JSON.parse(process.argv[2])) })
  let received = 0n
  let connections = 0
  server.on('connection', connection => {
    connections++
    connection.on('stream', stream => {
      stream.setReceiveMax('18446744073709551615')
      stream.on('money', amount => { received += BigInt(amount) })
    })
  })
  const { destinationAccount, sharedSecret } = server.generateAddressAndSecret()
  console.log('READY ' + JSON.stringify({ address: destinationAccount, sharedSecret: sharedSecret.toString('base64') }))
  process.stdin.on('data', () => console.log('TOTAL ' + JSON.stringify({ received: String(received), connections })))
  process.stdin.on('end', () => process.exit(0))
}

main().catch(error => { console.error(error); process.exit(1) })
