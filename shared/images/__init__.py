"""Pictures: where they are stored, and what their header says."""
