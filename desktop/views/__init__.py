"""Widgets: layout and connections, no decisions."""
