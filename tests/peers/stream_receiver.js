'use strict'
// A stateless STREAM receiver (@interledger/stream-receiver) behind the node under test.
//   node stream_receiver.js '{"package":…,"receipts":…, and what plugin.js takes}'
// `package` is `@interledger/stream-receiver` or `stream-receiver-alpha`; with `receipts`, every reply has one.
// Prints `READY {"address","sharedSecret"}`; answers each line on stdin with `TOTAL {"received","packets"}`.
const crypto = require('crypto')
const ILDCP = require('ilp-protocol-ildcp')
const { deserializeIlpPrepare, serializeIlpReply, isIlpReply } = require('ilp-packet')
const createPlugin = require('./plugin')

async function main () {
  const settings = JSON.parse(process.argv[2])
  const { StreamServer } = require(settings.package)
  const plugin = createPlugin(settings)
  await plugin.connect()
  const { clientAddress, assetCode, assetScale } = await ILDCP.fetch(plugin.sendData.bind(plugin))
  const server = new StreamServer({ serverSecret: crypto.randomBytes(32), serverAddress: clientAddress })
  let received = 0n
  let packets = 0
  plugin.registerDataHandler(async octets => {
    const prepare = deserializeIlpPrepare(octets)
    const reply = server.createReply(prepare)
    if (isIlpReply(reply)) return serializeIlpReply(reply)
    received += BigInt(prepare.amount)
    packets++
    reply.setTotalReceived(String(received)) // one connection is all that comes
    return serializeIlpReply(reply.accept())
  })
  const { ilpAddress, sharedSecret } = server.generateCredentials({
    asset: { code: assetCode, scale: assetScale },
    receiptSetup: settings.receipts && {
      nonce: Buffer.from(settings.receipts.nonce, 'base64'),
      secret: Buffer.from(settings.receipts.secret, 'base64')
    }
  })
  console.log('READY ' + JSON.stringify({ address: ilpAddress, sharedSecret: sharedSecret.toString('base64') }))
  process.stdin.on('data', () => console.log('TOTAL ' + JSON.stringify({ received: String(received), packets })))
  process.stdin.on('end', () => process.exit(0))
}

main().catch(error => { console.error(error); process.exit(1) })
