"""How two nodes come to know each other: address, asset, tokens, and whether the other side still answers."""
