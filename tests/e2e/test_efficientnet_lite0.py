"""EfficientNet-Lite0 is built from its package, knows what is in pictures, and stands in when the hub is away."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from tests.support.hub_server import HubServer
from tests.support.litert import litert_logits
from worker.inference.model_folder import SAVED_MODEL, ModelFolder
from worker.prepare.errors import HubUnreachable, PrepareError
from worker.prepare.lazy_tensorflow import import_tensorflow
from worker.prepare.preparation import prepare
from worker.prepare.torch_file import read_arrays

CODE = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def efficientnet(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The prepared model, made as a person makes it."""
    return prepare_by_command(tmp_path_factory.mktemp("efficientnet"))


@pytest.fixture
def away() -> str:
    """The handle of a hub that was there once."""
    with HubServer() as server:
        return server.add_status("/google/tf2-preview/mobilenet_v2/classification/4", 503)


def prepare_by_command(models_dir: Path) -> ModelFolder:
    """Prepare it in a process of its own."""
    command = [sys.executable, "-m", "worker.prepare", "--model", "efficientnet_lite0", "--models-dir", str(models_dir)]
    found = subprocess.run(command, cwd=CODE, capture_output=True, text=True, check=True)
    return ModelFolder.open(Path(found.stdout.strip()))


def pixels(name: str) -> NDArray[Any]:
    """A picture that ships with scikit-image, float32 [1, 224, 224, 3] in [0, 1]."""
    with Image.open(Path(skimage.data.__file__).parent / name) as picture:
        return np.asarray(picture.convert("RGB").resize((224, 224)), np.float32)[None] / 255


def test_the_folder_describes_the_model(efficientnet: ModelFolder) -> None:
    manifest = efficientnet.manifest

    efficientnet.verify_all()
    assert (efficientnet.name, efficientnet.path.name) == ("efficientnet_lite0", "efficientnet_lite0")
    assert (manifest.input_height, manifest.input_width, manifest.class_count) == (224, 224, 1000)
    assert (efficientnet.labels[0], efficientnet.labels[999]) == ("tench", "toilet tissue")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coffee.png", {"espresso"}),
        ("chelsea.png", {"Egyptian cat", "tabby", "tiger cat"}),
        ("motorcycle_left.png", {"moped", "motor scooter"}),
    ],
)
def test_it_knows_what_is_in_a_picture(efficientnet: ModelFolder, name: str, expected: set[str]) -> None:
    logits = litert_logits(efficientnet, pixels(name))[0]

    best = efficientnet.labels[int(logits.argmax())]
    probability = float(np.exp(logits.max()) / np.exp(logits).sum())
    assert best in expected
    assert probability > 0.3


def test_a_rocket_is_a_missile_among_the_first_three(efficientnet: ModelFolder) -> None:
    logits = litert_logits(efficientnet, pixels("rocket.jpg"))[0]

    assert "missile" in [efficientnet.labels[index] for index in logits.argsort()[-3:]]


def test_both_engines_answer_alike(efficientnet: ModelFolder) -> None:
    # Given a batch of pictures
    pictures = np.concatenate([pixels("coffee.png"), pixels("chelsea.png")])

    # When TensorFlow gets it as one, through either of the model's two doors
    model = import_tensorflow().saved_model.load(str(efficientnet.verify(SAVED_MODEL)))
    called = model(pictures).numpy()
    served = model.signatures["serving_default"](inputs=pictures)["logits"].numpy()

    # Then the answers are those of LiteRT to each
    single = np.concatenate([litert_logits(efficientnet, picture[None]) for picture in pictures])
    np.testing.assert_allclose(called, single, atol=1e-3)
    np.testing.assert_allclose(served, single, atol=1e-3)


def test_two_preparations_give_the_same_digest(efficientnet: ModelFolder, tmp_path: Path) -> None:
    assert prepare_by_command(tmp_path).digest == efficientnet.digest


def test_it_stands_in_for_a_hub_that_is_away_and_says_so_loudly(
    efficientnet: ModelFolder, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a hub that cannot be reached, and labels for the model that it would have had
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")

    # When a fallback is allowed
    folder = prepare(away, labels, tmp_path, fallback=True)

    # Then it is EfficientNet with its own labels, and a box says what was wanted, why not, and what to do
    assert folder == tmp_path / efficientnet.path.name
    assert ModelFolder.open(folder).labels == efficientnet.labels
    told = capsys.readouterr().err
    assert "####" in told
    for part in ("ANOTHER MODEL", away, "cannot be reached", "MODEL=efficientnet_lite0", "run the same command again"):
        assert part in told

    # And the next time one line says so
    assert prepare(away, labels, tmp_path, fallback=True) == folder
    told = capsys.readouterr().err
    assert "####" not in told and f"MODEL={away}, as before" in told


def test_without_a_fallback_the_command_ends_with_one_sentence(away: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "worker.prepare", "--model", away, "--models-dir", str(tmp_path)]
    found = subprocess.run(command, cwd=CODE, capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (1, "")
    last = found.stderr.splitlines()[-1]
    assert away in last and "cannot be reached: [Errno" in last
    assert "Traceback" not in found.stderr


def test_nothing_stands_in_for_a_model_that_the_hub_does_not_have(efficientnet: ModelFolder) -> None:
    with HubServer() as server:
        handle = server.add_status("/google/typo/4", 404)

        with pytest.raises(PrepareError, match="answered 404") as caught:
            prepare(handle, None, efficientnet.path.parent, fallback=True)

    assert not isinstance(caught.value, HubUnreachable)


def test_a_weights_file_cannot_run_code(tmp_path: Path) -> None:
    # Given a file that, unpickled without care, would leave a trace
    class Trace:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "trace",))

    file = tmp_path / "weights.pth"
    magic, protocol = 0x1950A86A20F9469CFC6C, 1001
    parts: list[Any] = [magic, protocol, {}, {"weight": Trace()}, []]
    file.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))

    # When it is read, then it is refused and nothing was run
    with pytest.raises(PrepareError, match="not a weights file"):
        read_arrays(file)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(5, 2)])
def test_other_files_are_not_taken_for_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)

    with pytest.raises(PrepareError, match="not a weights file"):
        read_arrays(tmp_path / "weights.pth")
