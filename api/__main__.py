"""`python -m api`: serves the web application until SIGTERM or SIGINT."""

# Before all other imports, so that all modules use gevent's sockets, locks and threads: thousands of requests can wait.
from gevent import monkey

# `select` is not patched: redis-py only polls without waiting, and asyncio (for S3) runs in a native thread.
monkey.patch_all(select=False)

import sys  # noqa: E402

from api.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
