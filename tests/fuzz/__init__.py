"""Fuzz entry points: one a decoder."""
