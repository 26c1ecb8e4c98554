"""What the node counts, keeps and shows of its traffic."""
