"""`make run`: everything on one machine under supervisor, with an embedded Redis-protocol server."""
