"""Payments as resources: what was asked to be paid, what was sent and received, and what is asked of others."""
