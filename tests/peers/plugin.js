'use strict'
// One ilp-plugin-http that speaks to the node under test, on loopback only.
// settings: { listen, url, incomingToken, outgoingToken }
const HttpPlugin = require('ilp-plugin-http')

module.exports = function createPlugin (settings) {
  return new HttpPlugin({
    // The plug-in hands `port` to listen(): an object keeps it off every other interface.
    incoming: { port: { port: settings.listen, host: '127.0.0.1' }, staticToken: settings.incomingToken },
    outgoing: { url: settings.url, staticToken: settings.outgoingToken, name: 'peer' }
  })
}
