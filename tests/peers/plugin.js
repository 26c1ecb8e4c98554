'use strict'
// One plug-in that speaks to the node under test, on loopback only: ilp-plugin-http, or ilp-plugin-btp.
// settings: { listen, url, incomingToken, outgoingToken }, or { btp: what btp_plugin.js takes }
const HttpPlugin = require('ilp-plugin-http')

module.exports = function createPlugin (settings) {
  if (settings.btp) return require('./btp_plugin')(settings.btp)
  return new HttpPlugin({
    // The plug-in hands `port` to listen(): an object keeps it off every other interface.
    incoming: { port: { port: settings.listen, host: '127.0.0.1' }, staticToken: settings.incomingToken },
    outgoing: { url: settings.url, staticToken: settings.outgoingToken, name: 'peer' }
  })
}
