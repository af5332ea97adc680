"""`python -m bench.peers.litserve`: LitServe, one worker a core; a form with a file."""

import os
from typing import Any

import litserve as ls
from fastapi import Request

from bench.peers.classifier import WORKERS, load_classifier


class Api(ls.LitAPI):
    """Bytes in, labels out."""

    def setup(self, device: str) -> None:
        self._classify = load_classifier()

    def decode_request(self, request: Request) -> Any:
        return request["image"].file.read()  # LitServe hands over the form

    def predict(self, x: bytes) -> dict[str, Any]:
        return self._classify(x)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=WORKERS)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)
