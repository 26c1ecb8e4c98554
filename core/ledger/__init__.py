"""The double-entry books: every unit that moves is a balanced set of postings, durable before anyone is told."""
