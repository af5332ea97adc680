"""Decodes pictures to pixels, in this process or in a pool of processes."""
