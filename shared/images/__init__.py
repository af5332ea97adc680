"""Pictures: their storage and their headers."""
