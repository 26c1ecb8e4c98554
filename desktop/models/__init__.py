"""Qt item models: rows in, roles out. They know nothing of the node."""
