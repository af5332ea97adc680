"""`python -m api`: serves the web application until SIGTERM or SIGINT."""

# First, so that all other modules use gevent's sockets, locks and threads: then thousands of requests can wait at once.
from gevent import monkey

# `select` stays as it is: redis-py polls without waiting, and asyncio (for S3) runs in a native thread.
monkey.patch_all(select=False)

import sys  # noqa: E402

from api.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
