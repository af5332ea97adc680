"""`python -m worker.decoding`: decodes pictures for a worker in a process of its own; ends with the worker."""

import signal
import socket
import sys

from shared.errors import UndecodablePicture, UnsupportedPicture
from shared.images.inspect import set_up_pillow
from shared.malloc import keep_freed_blocks
from worker.decoding.channel import Kind, MessageChannel
from worker.decoding.decode import decode_pixels
from worker.decoding.limits import limit_memory


def main(arguments: list[str]) -> None:
    """Serve a worker; arguments: file descriptor of the socket, height, width, bytes of memory per job."""
    descriptor, height, width, memory_bytes = map(int, arguments)
    # Ignore signals to the process group: the worker finishes its jobs first, then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    keep_freed_blocks()
    set_up_pillow()
    limit_memory(memory_bytes)
    channel = MessageChannel(socket.socket(fileno=descriptor))
    try:
        channel.send(Kind.READY, b"")
        while True:
            _, data = channel.receive()
            channel.send(*_answer(bytes(data), height, width))
    except ConnectionError:
        return


def _answer(data: bytes, height: int, width: int) -> tuple[Kind, bytes | memoryview]:
    try:
        return Kind.PIXELS, decode_pixels(data, height, width).tobytes()
    except UndecodablePicture as error:
        return Kind.UNDECODABLE, str(error).encode()
    except UnsupportedPicture as error:
        return Kind.UNSUPPORTED, str(error).encode()
    except MemoryError:
        return Kind.NO_MEMORY, b""
    except Exception as error:  # unexpected; it should fail only this picture
        return Kind.FAILED, repr(error).encode()


if __name__ == "__main__":
    main(sys.argv[1:])
