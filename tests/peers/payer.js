'use strict'
// Pays a receiver of SPSP with one of three programs, behind the node under test.
//   node payer.js '{"program","receiver", plug-in settings…, "amount", "receipts"?: {"nonce","secret"}}'
// program: "query" asks only; "spsp" is ilp-protocol-spsp; "pay" is @interledger/pay, of "amount" or of "deliver";
// "stream" is ilp-protocol-stream, with one stream for each of "amounts", and "text" written on the first.
// Prints `PAID {…}`: what the program says itself, and the receipts it got, in hex.
const { Duplex, Readable } = require('stream')
const createPlugin = require('./plugin')

// The ilp-protocol-stream inside ilp-protocol-spsp sets `closed`, which Node has made read-only since.
const { get } = Object.getOwnPropertyDescriptor(Readable.prototype, 'closed')
Object.defineProperty(Duplex.prototype, 'closed', {
  configurable: true,
  get,
  set (value) { Object.defineProperty(this, 'closed', { value, writable: true, configurable: true }) }
})

async function query ({ receiver, receipts }) {
  const headers = { Accept: 'application/spsp4+json' }
  if (receipts) Object.assign(headers, { 'Receipt-Nonce': receipts.nonce, 'Receipt-Secret': receipts.secret })
  const response = await fetch(receiver, { headers })
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  const details = await response.json()
  return { ...details, secret: Buffer.from(details.shared_secret, 'base64') }
}

async function payBySpsp (plugin, { receiver, amount }) {
  const { totalSent } = await require('ilp-protocol-spsp').pay(plugin, { pointer: receiver, sourceAmount: amount })
  return { sent: totalSent }
}

async function payByPay (plugin, settings) {
  const Pay = require('@interledger/pay')
  const details = await query(settings)
  await plugin.connect()
  const destination = await Pay.setupPayment({
    plugin, destinationAddress: details.destination_account, sharedSecret: details.secret
  })
  const quote = await Pay.startQuote({
    plugin,
    destination,
    sourceAsset: settings.asset,
    ...(settings.deliver ? { amountToDeliver: BigInt(settings.deliver) } : { amountToSend: BigInt(settings.amount) }),
    slippage: 0.01,
    prices: { [settings.asset.code]: 1, [destination.destinationAsset.code]: 1 }
  })
  const found = []
  const progressHandler = ({ streamReceipt }) => { if (streamReceipt) found.push(streamReceipt.toString('hex')) }
  const result = await Pay.pay({ plugin, destination, quote, progressHandler })
  await Pay.closeConnection(plugin, destination)
  if (result.error) throw new Error(result.error)
  if (result.streamReceipt) found.push(result.streamReceipt.toString('hex'))
  return {
    sent: String(result.amountSent),
    delivered: String(result.amountDelivered),
    asset: destination.destinationAsset,
    receipts: [found[found.length - 1]].filter(Boolean)
  }
}

async function payByStream (plugin, settings) {
  const { createConnection } = require('ilp-protocol-stream')
  const details = await query(settings)
  const connection = await createConnection({
    plugin, destinationAccount: details.destination_account, sharedSecret: details.secret, slippage: 0.02
  })
  const amounts = settings.amounts || [settings.amount]
  const streams = amounts.map(() => connection.createStream())
  if (settings.text) streams[0].write(settings.text)
  await Promise.all(streams.map((stream, i) => stream.sendTotal(amounts[i], { timeout: 60000 })))
  const paid = {
    sent: connection.totalSent,
    delivered: connection.totalDelivered,
    asset: { code: connection.destinationAssetCode, scale: connection.destinationAssetScale },
    receipts: streams.map(stream => stream.receipt && stream.receipt.toString('hex')).filter(Boolean)
  }
  await connection.end()
  return paid
}

async function main () {
  const settings = JSON.parse(process.argv[2])
  if (settings.program === 'query') return require('ilp-protocol-spsp').query(settings.receiver)
  const plugin = createPlugin(settings)
  const pay = { spsp: payBySpsp, pay: payByPay, stream: payByStream }[settings.program]
  const paid = await pay(plugin, settings)
  await plugin.disconnect()
  return paid
}

main().then(
  paid => { console.log('PAID ' + JSON.stringify(paid)); process.exit(0) },
  error => { console.error(error); process.exit(1) }
)
