"""`python -m worker.prepare` makes model folders out of SavedModels on this machine."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.litert import litert_logits
from tests.support.small_models import HEIGHT, WIDTH, save_small_model
from worker.inference.engines import verify_model
from worker.inference.model_folder import SAVED_MODEL, ModelFolder, ModelFolderError
from worker.prepare.errors import PrepareError
from worker.prepare.folder import lock_of, replacing
from worker.prepare.lazy_tensorflow import import_tensorflow
from worker.prepare.preparation import prepare

CODE = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with two classes and a labels.txt beside it."""
    folder = save_small_model(tmp_path_factory.mktemp("small") / "two classes")
    (folder / "labels.txt").write_text("tabby, tabby cat\nespresso\n")
    return folder


@pytest.fixture
def bare(two_classes: Path, tmp_path: Path) -> Path:
    """The same SavedModel without its labels.txt."""
    folder = tmp_path / "bare"
    shutil.copytree(two_classes, folder, ignore=shutil.ignore_patterns("labels.txt"))
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A labels file for two classes, as an editor on Windows may leave it."""
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffKatze, Hauskatze\r\nKaffee\r\n\r\n".encode())
    return file


def run_prepare(*arguments: str | Path, **environ: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "worker.prepare", *map(str, arguments)],
        cwd=CODE,
        env={**os.environ, "MODEL": "", "MODEL_LABELS": "", **{name: str(value) for name, value in environ.items()}},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_prepares_a_local_savedmodel_and_prints_the_folder(two_classes: Path, tmp_path: Path) -> None:
    # When the command is given a SavedModel folder by its environment
    found = run_prepare("--models-dir", tmp_path / "models", MODEL=two_classes)

    # Then it prints the folder and nothing else to stdout, and its steps to stderr
    assert found.returncode == 0, found.stderr
    folder = ModelFolder.open(Path(found.stdout.removesuffix("\n")))
    assert folder.path.parent == tmp_path / "models"
    assert "converting to LiteRT: " in found.stderr
    assert "XNNPACK" not in found.stderr and "cuda" not in found.stderr.lower()

    # And the folder holds a model that both engines can load and that answers alike
    assert (folder.name.rpartition("-")[0], len(folder.name.rpartition("-")[2])) == ("two-classes", 8)
    assert (folder.manifest.input_height, folder.manifest.input_width) == (HEIGHT, WIDTH)
    assert folder.labels == ("tabby", "espresso")
    picture = np.random.default_rng(7).random((1, HEIGHT, WIDTH, 3), np.float32)
    loaded = import_tensorflow().saved_model.load(str(folder.verify(SAVED_MODEL)))
    np.testing.assert_allclose(litert_logits(folder, picture), loaded(picture).numpy(), rtol=1e-4)

    # And no path of this machine
    assert str(two_classes.parent) not in (folder.path / "model.json").read_text()


def test_an_intact_folder_is_returned_without_tensorflow(two_classes: Path, tmp_path: Path) -> None:
    # Given a prepared folder, as it lies on another machine: without the lock file of its preparation
    folder = prepare(str(two_classes), None, tmp_path)
    lock_of(folder).unlink()
    before = (folder / "model.json").stat().st_mtime_ns

    # When it is asked for again, in a process of its own
    program = (
        "import sys\nfrom worker.prepare.__main__ import main\n"
        "assert main(sys.argv[1:], {}) == 0\n"
        "print(sorted({'tensorflow', 'tensorflow_hub', 'ai_edge_litert'} & sys.modules.keys()))"
    )
    arguments = ["--model", str(two_classes), "--models-dir", str(tmp_path)]
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=CODE, capture_output=True, text=True, check=True
    )

    # Then it is the same, no inference library was imported, and nothing was written, as a folder may be read-only
    assert found.stdout == f"{folder}\n[]\n"
    assert (folder / "model.json").stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_can_be_named_and_an_older_model_in_it_is_replaced(two_classes: Path, tmp_path: Path) -> None:
    other = save_small_model(tmp_path / "other", 1001, seed=1, signature=False)
    wanted = tmp_path / "image" / "model"

    assert prepare(str(two_classes), None, tmp_path, folder=wanted) == wanted
    assert prepare(str(other), None, tmp_path, folder=wanted) == wanted

    assert ModelFolder.open(wanted).name.startswith("other-")
    assert [path.name for path in wanted.parent.iterdir() if not path.name.endswith(".lock")] == ["model"]


def test_1001_classes_are_imagenet_with_a_background(tmp_path: Path) -> None:
    model = save_small_model(tmp_path / "thousand", 1001)

    folder = ModelFolder.open(prepare(str(model), None, tmp_path / "models"))

    assert len(folder.labels) == folder.manifest.class_count == 1001
    assert (folder.labels[0], folder.labels[1], folder.labels[1000]) == ("background", "tench", "toilet tissue")


def test_changed_and_equally_named_models_get_folders_of_their_own(two_classes: Path, tmp_path: Path) -> None:
    # Given a model, another one in a folder of the same name, and the first with other labels
    twin = save_small_model(tmp_path / "twin" / two_classes.name, seed=2)
    relabelled = tmp_path / "relabelled" / two_classes.name
    shutil.copytree(two_classes, relabelled)
    for model in (twin, relabelled):
        (model / "labels.txt").write_text("cat\ncoffee\n")

    folders = {prepare(str(model), None, tmp_path / "models") for model in (two_classes, twin, relabelled)}

    assert len(folders) == 3
    assert all(folder.name.startswith("two-classes-") for folder in folders)


def test_a_labels_file_goes_before_the_models_own(two_classes: Path, labels: Path, tmp_path: Path) -> None:
    # Given a folder with the model's own labels
    own = prepare(str(two_classes), None, tmp_path / "models")
    assert ModelFolder.open(own).labels == ("tabby", "espresso")

    # When it is asked for with others, then it has those, and the first again when they are not given
    assert prepare(str(two_classes), labels, tmp_path / "models") == own
    assert ModelFolder.open(own).labels == ("Katze", "Kaffee")
    prepare(str(two_classes), None, tmp_path / "models")
    assert ModelFolder.open(own).labels == ("tabby", "espresso")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "the model has 2 classes, .* set MODEL_LABELS"),
        ("one\n", "has 1 names, but the model has 2 classes"),
        ("one\ntwo\nthree\n", "has 3 names, but the model has 2 classes"),
        ("one\n, two\n", "line 2 .* has no name"),
        (b"\xff\xff", "cannot be read"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    bare: Path, tmp_path: Path, content: str | bytes | None, complaint: str
) -> None:
    file = tmp_path / "labels"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(PrepareError, match=complaint):
        prepare(str(bare), file if file.exists() else None, tmp_path / "models")

    assert not [path for path in (tmp_path / "models").iterdir() if not path.name.endswith(".lock")]


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path: Path) -> None:
    found = run_prepare("--models-dir", tmp_path, MODEL="mobilenet_v3")

    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.count("\n") == 1
    for choice in ("mobilenet_v2", "efficientnet_lite0", "TF-Hub", "saved_model.pb"):
        assert choice in found.stderr


@pytest.mark.parametrize("damage", ["model.tflite", "labels.txt", "model.json", "saved_model/saved_model.pb"])
@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_damaged_folder_is_made_anew(
    two_classes: Path, tmp_path: Path, damage: str, how: Callable[[Path], Any]
) -> None:
    folder = prepare(str(two_classes), None, tmp_path)
    digest = ModelFolder.open(folder).digest
    how(folder / damage)

    assert prepare(str(two_classes), None, tmp_path) == folder

    mended = ModelFolder.open(folder)
    mended.verify_all()
    assert mended.digest == digest


def test_an_interrupted_preparation_leaves_no_folder_that_looks_complete(two_classes: Path, tmp_path: Path) -> None:
    # Given a preparation that ends in the middle, once with an exception and once without a chance to tidy up
    wanted = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt), replacing(wanted) as making:  # noqa: PT012 - the exception comes from within
        (making / "labels.txt").write_text("half\n")
        raise KeyboardInterrupt
    assert not wanted.exists() and not making.exists()
    making.mkdir()
    (making / "model.json").write_text("{")

    # When it is started again, then the folder is whole and nothing of the first remains
    prepare(str(two_classes), None, tmp_path, folder=wanted)
    ModelFolder.open(wanted).verify_all()
    assert not making.exists()


def test_a_folder_with_other_things_is_left_alone(two_classes: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")

    with pytest.raises(PrepareError, match="contains other files"):
        prepare(str(two_classes), None, tmp_path, folder=tmp_path / "home")

    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_two_preparations_at_once_convert_once(
    two_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(prepare(str(two_classes), None, tmp_path))) for _ in range(3)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(folders) == 3 and len(set(folders)) == 1
    ModelFolder.open(folders[0]).verify_all()
    assert capsys.readouterr().err.count("converting to LiteRT ...") == 1


def test_a_model_that_does_not_convert_is_kept_for_tensorflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a model with an operation that LiteRT does not know
    tf = import_tensorflow()
    model = save_small_model(
        tmp_path / "odd", 1000, last=lambda logits: tf.strings.to_number(tf.strings.as_string(logits))
    )

    # When it is prepared
    folder = ModelFolder.open(prepare(str(model), None, tmp_path / "models"))

    # Then it says so, and only TensorFlow gets it
    assert "CANNOT BE CONVERTED TO LITERT" in capsys.readouterr().err
    verify_model("tensorflow", folder)
    with pytest.raises(ModelFolderError, match="ENGINE=tensorflow"):
        verify_model("litert", folder)

    # And it is not tried again every time
    assert prepare(str(model), None, tmp_path / "models") == folder.path
    assert capsys.readouterr().err == ""


def test_what_is_no_image_classifier_is_refused(tmp_path: Path) -> None:
    tf = import_tensorflow()
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "any-size": ({"size": (None, None)}, r"serving_default takes \['\(None, None, None, 3\)'\]"),
        "softmax": ({"last": tf.nn.softmax}, "probabilities"),
        "one-number": ({"last": lambda logits: tf.reduce_max(logits, 1)}, "its output is float32"),
        "integers": ({"last": lambda logits: tf.cast(logits, tf.int32)}, "its output is int32"),
    }
    for name, (options, complaint) in cases.items():
        model = save_small_model(tmp_path / name, **options)
        with pytest.raises(PrepareError, match=complaint):
            prepare(str(model), None, tmp_path / "models")

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(PrepareError, match="cannot be loaded"):
        prepare(str(tmp_path / "empty"), None, tmp_path / "models")
