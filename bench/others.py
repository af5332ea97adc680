"""Other servers, each in an environment of its own, with the code of their users or with this project's pipeline."""

import os
import time

from bench.contestants import Contestant, Door, listens
from bench.environments import python_of
from bench.peers.classifier import PIPELINE
from bench.processes import tree, wait_until


class Peer(Contestant):
    """Another server, one process tree."""

    code = "documented"
    environment: str
    command: tuple[str, ...]
    port_variable = "PORT"

    def start(self) -> None:
        began = time.monotonic()
        environ = {
            self.port_variable: str(self.port),
            "MODEL_DIR": str(self._model),
            "CODE": self.code,
            "WORKERS": str(self._workers),
            "PATH": f"{python_of(self.environment).parent}{os.pathsep}{os.environ['PATH']}",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(self._folder.absolute()),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        command = [str(python_of(self.environment)), "-m", *self.command]
        process = self._run(self.name, command, environ)
        # Each has its own way of telling that it is ready; the first answer to a picture is the runner's business.
        wait_until(lambda: listens(self.port), [process])
        self.start_seconds["listening"] = time.monotonic() - began

    def roles(self) -> dict[str, list[int]]:
        return {"server": tree(self._processes[0].pid)}


class Original(Peer):
    """The program this project began with."""

    name = environment = "original"
    command = ("bench.peers.original",)
    door = Door("/upload", "image")


class LitServe(Peer):
    """LitServe."""

    name = environment = "litserve"
    command = ("bench.peers.litserve",)
    door = Door("/predict", "image")


class BentoML(Peer):
    """BentoML."""

    name = environment = "bentoml"
    command = ("bentoml", "serve", "bench.peers.bentoml:Service", "--host", "127.0.0.1")
    port_variable = "BENTOML_PORT"
    door = Door("/classify", "image")


class Mosec(Peer):
    """mosec."""

    name = environment = "mosec"
    command = ("bench.peers.mosec",)
    port_variable = "MOSEC_PORT"
    door = Door("/inference", "")


class LitServePipeline(LitServe):
    """LitServe as a server alone."""

    name = "litserve, our pipeline"
    code = PIPELINE


class BentoMLPipeline(BentoML):
    """BentoML as a server alone."""

    name = "bentoml, our pipeline"
    code = PIPELINE


class MosecPipeline(Mosec):
    """mosec as a server alone."""

    name = "mosec, our pipeline"
    code = PIPELINE
