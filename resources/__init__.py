"""Files that the application reads: icons and styles."""
