"""`python -m topthree_client`: the command line `topthree`."""

import sys

from topthree_client.command_line import main

if __name__ == "__main__":
    sys.exit(main())
