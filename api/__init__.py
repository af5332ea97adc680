"""The web process: takes pictures in, answers with labels."""
