"""Messages that C++ libraries write to standard error."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_messages_held_back() -> Iterator[None]:
    """Capture what C++ libraries write to file descriptor 2; show it only if the block fails.

    TensorFlow and LiteRT write messages there, such as missing GPUs, that no log level turns off. For debugging, set
    TF_CPP_MIN_LOG_LEVEL: then nothing is captured.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
