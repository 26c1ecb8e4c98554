"""Payments as things with a state of their own: made, quoted, sent, received, kept."""
