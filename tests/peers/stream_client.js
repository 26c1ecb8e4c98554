'use strict'
// A STREAM sender (ilp-protocol-stream) behind the node under test.
//   node stream_client.js '{"listen",…,"address","sharedSecret","amount","maximumPacketAmount"}'
// Prints `PAID {"sent","delivered","packets"}` and ends.
const { createConnection } = require('ilp-protocol-stream')
const createPlugin = require('./plugin')

async function main () {
  const settings = JSON.parse(process.argv[2])
  const plugin = createPlugin(settings)
  let packets = 0
  const sendData = plugin.sendData.bind(plugin)
  plugin.sendData = octets => { packets++; return sendData(octets) }
  const connection = await createConnection({
    plugin,
    destinationAccount: settings.address,
    sharedSecret: Buffer.from(settings.sharedSecret, 'base64'),
    maximumPacketAmount: settings.maximumPacketAmount,
    slippage: 0.02
  })
  const stream = connection.createStream()
  await stream.sendTotal(settings.amount, { timeout: 300000 })
  const { totalSent } = stream
  const { totalDelivered } = connection
  await connection.end()
  await plugin.disconnect()
  console.log('PAID ' + JSON.stringify({ sent: totalSent, delivered: totalDelivered, packets }))
  process.exit(0)
}

main().catch(error => { console.error(error); process.exit(1) })
