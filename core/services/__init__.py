"""What a packet meets on its way: one service a module, and no service knows another.

Each names, above itself, what it needs of an account, of a store and of the services behind it;
`core.node` writes down the order in which a packet meets them.
"""
