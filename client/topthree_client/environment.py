"""The environment variables that the client and the command line read, and the default address."""

URL_VARIABLE = "TOPTHREE_URL"
KEY_VARIABLE = "TOPTHREE_API_KEY"
DEFAULT_URL = "http://127.0.0.1:5000"
