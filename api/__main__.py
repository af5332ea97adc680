"""`python -m api`: serves the web application until SIGTERM or SIGINT."""

# First, so that all other modules use gevent's sockets, locks and threads: then thousands of requests can wait at once.
from gevent import monkey

# Not `aggressive`: asyncio in native threads needs epoll.
monkey.patch_all(aggressive=False)

import sys  # noqa: E402

from api.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
