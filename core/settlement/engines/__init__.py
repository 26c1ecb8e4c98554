"""The engines that come with the node, each a ledger that the one loop drives."""
