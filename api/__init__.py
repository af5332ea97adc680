"""The HTTP API: accepts pictures and responds with their labels."""
