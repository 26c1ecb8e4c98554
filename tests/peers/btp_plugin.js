'use strict'
// One ilp-plugin-btp that speaks to the node under test, on loopback only.
// settings: { server: 'btp+ws://…' }, or { listen: port, secret }
const BtpPlugin = require('ilp-plugin-btp')

module.exports = function createPlugin (settings) {
  if (settings.server) return new BtpPlugin({ server: settings.server, reconnectIntervals: [50, 100, 200] })
  const { listen, secret } = settings
  // Without wsOpts the plug-in listens on every interface.
  return new BtpPlugin({ listener: { port: listen, secret, wsOpts: { port: listen, host: '127.0.0.1' } } })
}
