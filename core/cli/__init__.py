"""`signalbox-cli`: the operator's command line, over the node's HTTP API."""
