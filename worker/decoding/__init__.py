"""From the bytes of a picture to pixels, in this process or in a pool of others."""
