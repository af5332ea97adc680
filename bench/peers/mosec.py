"""`python -m bench.peers.mosec`: mosec, one process a core; raw bodies."""

from typing import Any

from mosec import Server, Worker

from bench.peers.classifier import WORKERS, load_classifier


class Inference(Worker):
    """Bytes in, labels out."""

    def __init__(self) -> None:
        super().__init__()
        self._classify = load_classifier()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> dict[str, Any]:
        return self._classify(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Inference, num=WORKERS)
    server.run()
