"""`make run`: everything on one machine, with an embedded Redis-protocol server."""
