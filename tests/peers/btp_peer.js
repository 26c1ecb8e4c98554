'use strict'
// An ilp-plugin-btp that fulfills what comes, and sends what it is told to.
//   node btp_peer.js '{"server":"btp+ws://…"}'  or  '{"listen":…,"secret":"…"}'
// Prints `LISTENING {}` where it listens, and `READY {}` once it is connected. Each line on stdin is a JSON
// object: { "send": count, "to": address } sends so many packets at once and prints
// `SENT {"fulfilled","rejected","first"}`; { "count": true } prints `COUNT {"received"}`.
const crypto = require('crypto')
const readline = require('readline')
const { serializeIlpPrepare, deserializeIlpPacket, serializeIlpFulfill } = require('ilp-packet')
const createPlugin = require('./btp_plugin')

const settings = JSON.parse(process.argv[2])
const plugin = createPlugin(settings)
const fulfillment = Buffer.alloc(32)
const executionCondition = crypto.createHash('sha256').update(fulfillment).digest()
let received = 0

plugin.registerDataHandler(async () => {
  received++
  return serializeIlpFulfill({ fulfillment, data: Buffer.from('from npm') })
})

async function send (count, destination) {
  let fulfilled = 0
  let first = null
  await Promise.all([...Array(count).keys()].map(async number => {
    const data = Buffer.alloc(8)
    data.writeUInt32BE(number, 4)
    const answer = deserializeIlpPacket(await plugin.sendData(serializeIlpPrepare({
      amount: '10', destination, executionCondition, expiresAt: new Date(Date.now() + 20000), data
    })))
    if (answer.typeString === 'ilp_fulfill') fulfilled++
    else if (!first) first = { code: answer.data.code, message: answer.data.message }
  }))
  return { fulfilled, rejected: count - fulfilled, first }
}

async function main () {
  const connecting = plugin.connect()
  if (settings.listen) console.log('LISTENING {}')
  await connecting
  console.log('READY {}')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line)
    if (asked.send) console.log('SENT ' + JSON.stringify(await send(asked.send, asked.to)))
    else console.log('COUNT ' + JSON.stringify({ received }))
  }
  process.exit(0)
}

main().catch(error => { console.error(error); process.exit(1) })
