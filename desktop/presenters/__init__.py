"""What a page can do; no widget. Only presenters call the operator's door."""
