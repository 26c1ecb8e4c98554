"""The Interledger node: packets, chain, books, links and engines. Nothing here imports Qt."""
