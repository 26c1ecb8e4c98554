'use strict'
// The two ends of many STREAM payments in a row (ilp-protocol-stream), for measuring.
//   node stream_bench.js server '{what plugin.js takes}'   each line on stdin: a new connection's
//     `READY {"address","sharedSecret","received"}`, where `received` is the total of all so far
//   node stream_bench.js client '{what plugin.js takes}'   each line on stdin, a JSON object with
//     "address", "sharedSecret" and "amount": `PAID {"sent","delivered","packets"}`
const readline = require('readline')
const { createConnection, createServer } = require('ilp-protocol-stream')
const createPlugin = require('./plugin')

const [role, given] = process.argv.slice(2)
const settings = JSON.parse(given)
const say = (word, what) => console.log(word + ' ' + JSON.stringify(what))
const lines = readline.createInterface({ input: process.stdin })
lines.on('close', () => process.exit(0))

async function serve () {
  let received = 0n
  const starting = createServer({ plugin: createPlugin(settings) }).then(server => {
    server.on('connection', connection => connection.on('stream', stream => {
      stream.setReceiveMax('18446744073709551615')
      stream.on('money', amount => { received += BigInt(amount) })
    }))
    return server
  })
  lines.on('line', async () => { // at once: a line that nobody listens for is lost
    const { destinationAccount, sharedSecret } = (await starting).generateAddressAndSecret()
    say('READY', { address: destinationAccount, sharedSecret: sharedSecret.toString('base64'), received: String(received) })
  })
  await starting
}

async function pay ({ address, sharedSecret, amount }) {
  const plugin = createPlugin(settings) // the end of a connection disconnects it for good
  let packets = 0
  const sendData = plugin.sendData.bind(plugin)
  plugin.sendData = octets => { packets++; return sendData(octets) }
  const connection = await createConnection({
    plugin, destinationAccount: address, sharedSecret: Buffer.from(sharedSecret, 'base64'), slippage: 0.015
  })
  const stream = connection.createStream()
  await stream.sendTotal(amount, { timeout: 120000 })
  const { totalSent } = stream
  const { totalDelivered } = connection
  await connection.end()
  await plugin.disconnect()
  say('PAID', { sent: totalSent, delivered: totalDelivered, packets })
}

async function main () {
  if (role === 'server') await serve()
  else lines.on('line', line => pay(JSON.parse(line)).catch(error => { console.error(error); process.exit(1) }))
}

main().catch(error => { console.error(error); process.exit(1) })
