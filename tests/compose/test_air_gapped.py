"""The guide for machines without a network: images are carried over, and nothing that runs reaches out."""

import json
from pathlib import Path

from tests.support.docker import Engine, Stack
from tests.support.reader import Reader, Step

# A network from which nothing else can be reached, and which nothing else reaches; compose reads this file by itself.
NO_NETWORK = "networks: {default: {internal: true}}\n"
# So the client is a neighbour, with a picture of its own.
UPLOAD = """
import io, urllib.request
from PIL import Image
file = io.BytesIO()
Image.effect_noise((400, 300), 50).save(file, "PNG")
request = urllib.request.Request("http://127.0.0.1:5000/upload", file.getvalue(), {"Content-Type": "image/png"})
print(urllib.request.urlopen(request, timeout=40).read().decode())
"""


def test_images_that_were_carried_over_serve_without_a_network(engine: Engine, tmp_path: Path) -> None:
    with Reader(engine, tmp_path) as reader:
        stack = reader.stack

        def carry() -> None:
            # The other machine has no such images, and reaches nobody.
            engine.run("image", "rm", *own_images(stack))
            (stack.root / "docker-compose.override.yml").write_text(NO_NETWORK, "utf-8")

        # When the guide is followed
        reader.follow_page("docs/how-to/air-gapped.md", [Step("before", "docker load", carry)])
        # Then the service answers, in a network that leads nowhere
        [network] = json.loads(engine.run("network", "inspect", f"{stack.project}_default"))
        assert network["Internal"] is True
        assert len(stack.containers("worker")) == 3
        answer = json.loads(stack.run("exec", "-T", "api", "python", "-c", UPLOAD))
        assert list(answer) == ["prediction_1", "prediction_2", "prediction_3"]


def own_images(stack: Stack) -> list[str]:
    return [f"{stack.project}-{service}" for service in ("api", "worker")]
