"""The service on a real Docker engine: built once, started once, and its logs shown where a test fails."""

import io
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.support.docker import Engine, NoEngine, Stack

SIZES = pytest.StashKey[dict[str, float]]()


@pytest.fixture(scope="session")
def engine() -> Engine:
    try:
        return Engine.find()
    except NoEngine as error:
        # Not skipped: whoever runs these tests asked for them by name.
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def stack(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The command of docs/how-to/scaling.md, and every container healthy."""
    stack = Stack(engine)
    try:
        stack.run("up", "--build", "--scale", "worker=3", "--detach", "--wait")
        request.config.stash[SIZES] = _image_sizes(stack)
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def mounted(engine: Engine, model_dir: Path) -> Iterator[Stack]:
    """The same with one worker, and a prepared model folder instead of one in the image."""
    stack = Stack(engine, "deploy/compose.model.yml", MODEL="none", MODEL_FOLDER=str(model_dir))
    try:
        stack.run("up", "--build", "--detach", "--wait")
        yield stack
    finally:
        stack.down()


Pictures = Callable[..., list[bytes]]


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Makes so many PNG pictures, `grain` times as large as small ones of 400 x 300; never the same one twice.

    The service knows the result of what it has seen.
    """
    random = np.random.default_rng(0)

    def make(count: int, grain: int = 1) -> list[bytes]:
        return [_picture(random, grain) for _ in range(count)]

    return make


def _picture(random: np.random.Generator, grain: int) -> bytes:
    """Noise over a coloured shape."""
    image = Image.new("RGB", (400, 300), _colour(random))
    draw = ImageDraw.Draw(image)
    [draw.ellipse, draw.rectangle][random.integers(2)]((80, 60, 320, 240), fill=_colour(random))
    noisy = np.asarray(image) // 2 + random.integers(0, 128, (300, 400, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).resize((400 * grain, 300 * grain), Image.Resampling.NEAREST).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def _image_sizes(stack: Stack) -> dict[str, float]:
    images = {"python:3.13-slim": "python:3.13-slim"}
    images |= {service: f"{stack.project}-{service}" for service in ("api", "worker")}
    return {name: stack.engine.inspect(image)["Size"] / 1e6 for name, image in images.items()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for stack in getattr(item, "funcargs", {}).values():
        if report.failed and isinstance(stack, Stack):
            states = stack.call("ps", "--all").stdout
            logs = stack.call("logs", "--no-color", "--timestamps", "--tail", "200").stdout
            report.sections.append(("containers", f"{states}\n{logs}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, megabytes in terminalreporter.config.stash.get(SIZES, {}).items():
        terminalreporter.write_line(f"image {name}: {megabytes:.0f} MB")
