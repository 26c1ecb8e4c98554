"""Where an address leads."""
