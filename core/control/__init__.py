"""What an operator can do: the one door to the node, for the window, the HTTP API and the command line."""
