"""A prepared model folder is read and checked."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from worker.inference.model_folder import SAVED_MODEL, TFLITE, ModelFolder, ModelFolderError, display_names

FILES = {
    "labels.txt": b"tabby, tabby cat\nespresso\n",
    "model.tflite": b"a LiteRT model",
    "saved_model/saved_model.pb": b"a graph",
    "saved_model/variables/variables.index": b"an index",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An intact folder of a model with two classes."""
    folder = tmp_path / "models" / "pets"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_manifest(folder)
    return folder


def write_manifest(folder: Path, **changes: Any) -> None:
    manifest = {
        "format_version": 1,
        "name": "pets",
        "source": "a test",
        "input_height": 224,
        "input_width": 192,
        "class_count": 2,
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "model.json"
        },
    }
    (folder / "model.json").write_text(json.dumps({**manifest, **changes}))


def test_an_intact_folder_tells_what_it_holds(folder: Path) -> None:
    found = ModelFolder.open(folder)

    assert (found.name, found.manifest.input_height, found.manifest.input_width) == ("pets", 224, 192)
    assert found.labels == ("tabby", "espresso")
    assert found.verify(TFLITE) == folder / "model.tflite"
    assert found.verify(SAVED_MODEL) == folder / "saved_model"
    found.verify_all()


def test_the_digest_follows_the_answers_and_nothing_else(folder: Path) -> None:
    # Given a model
    digest = ModelFolder.open(folder).digest

    # When it is only called something else, the digest stays
    write_manifest(folder, name="animals", source="elsewhere")
    assert ModelFolder.open(folder).digest == digest

    # When its input size or one of its files is another, so is the digest
    write_manifest(folder, input_width=224)
    resized = ModelFolder.open(folder).digest
    (folder / "model.tflite").write_bytes(b"another LiteRT model")
    write_manifest(folder)
    assert len({digest, resized, ModelFolder.open(folder).digest}) == 3
    assert len(digest) == 64


def test_a_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"there is no model folder .*nowhere: run `make model`"):
        ModelFolder.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        ("[]", "format version None"),
        ('{"format_version": 2, "new": true}', "format version 2, this program reads 1"),
        ('{"format_version": 1}', "is invalid .name: Field required"),
    ],
)
def test_a_bad_manifest_is_named(folder: Path, content: str | bytes | None, complaint: str) -> None:
    # Given a folder whose model.json is not one
    manifest = folder / "model.json"
    manifest.unlink()
    if content is not None:
        manifest.write_bytes(content if isinstance(content, bytes) else content.encode())

    # When it is opened, the sentence names the file, the fault and the way out
    with pytest.raises(ModelFolderError, match=rf"model\.json.*{complaint}.*run `make model`"):
        ModelFolder.open(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_count": 0},
        {"input_height": "tall"},
        {"surprise": 1},
        {"files": {"../labels.txt": "0" * 64}},
        {"files": {"/etc/hosts": "0" * 64}},
        {"files": {"labels.txt": "short"}},
    ],
)
def test_values_that_cannot_be_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    write_manifest(folder, **changes)

    with pytest.raises(ModelFolderError, match="is invalid"):
        ModelFolder.open(folder)


def test_labels_are_checked_when_the_folder_is_opened(folder: Path) -> None:
    (folder / "labels.txt").write_text("tabby\nlungo\n")
    with pytest.raises(ModelFolderError, match=r"labels\.txt is damaged"):
        ModelFolder.open(folder)

    (folder / "labels.txt").unlink()
    with pytest.raises(ModelFolderError, match=r"labels\.txt cannot be read"):
        ModelFolder.open(folder)

    write_manifest(folder)
    with pytest.raises(ModelFolderError, match="does not name the files"):
        ModelFolder.open(folder)


def test_there_is_one_label_for_each_class(folder: Path) -> None:
    write_manifest(folder, class_count=3)

    with pytest.raises(ModelFolderError, match="2 lines for 3 classes"):
        ModelFolder.open(folder)


def test_only_the_files_of_one_engine_are_checked_for_it(folder: Path) -> None:
    # Given a folder whose LiteRT model is damaged
    (folder / "model.tflite").write_bytes(b"a LiteRT modem")
    found = ModelFolder.open(folder)

    # Then TensorFlow could use it, LiteRT not
    found.verify(SAVED_MODEL)
    with pytest.raises(ModelFolderError, match=r"model\.tflite is damaged .*run `make model`"):
        found.verify(TFLITE)
    with pytest.raises(ModelFolderError):
        found.verify_all()


@pytest.mark.parametrize("name", ["saved_model/saved_model.pb", "saved_model/variables/variables.index"])
def test_every_file_of_the_saved_model_counts(folder: Path, name: str) -> None:
    (folder / name).unlink()
    found = ModelFolder.open(folder)

    found.verify(TFLITE)
    with pytest.raises(ModelFolderError, match=f"{name} cannot be read"):
        found.verify(SAVED_MODEL)


def test_files_that_the_model_does_not_have_are_told_apart_from_damaged_ones(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    write_manifest(folder)
    found = ModelFolder.open(folder)

    assert (found.has(SAVED_MODEL), found.has(TFLITE)) == (True, False)
    with pytest.raises(ModelFolderError, match="does not name the files"):
        found.verify(TFLITE)


def test_reading_a_folder_needs_no_inference_library() -> None:
    program = (
        "import sys, worker.inference.model_folder\n"
        "print(sorted({'tensorflow', 'tensorflow_hub', 'ai_edge_litert', 'numpy'} & sys.modules.keys()))"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["tabby, tabby cat", "espresso"], ["tabby", "espresso"]),
        (["maillot", "maillot, tank suit"], ["maillot", "maillot, tank suit"]),
        (["crane, bird", "egret", "crane, machine"], ["crane, bird", "egret", "crane, machine"]),
        (
            ["horn, French horn, brass", "horn, French horn", "horn"],
            ["horn, French horn, brass", "horn, French horn", "horn"],
        ),
        (["crane", "egret", "crane"], ["crane (0)", "egret", "crane (2)"]),
        (["a, b", "a, b", "a"], ["a, b (0)", "a, b (1)", "a"]),
    ],
)
def test_no_two_classes_have_the_same_name(lines: list[str], names: list[str]) -> None:
    assert display_names(lines) == names


def test_the_names_of_imagenets_classes_differ() -> None:
    lines = (ROOT / "worker" / "prepare" / "imagenet_labels.txt").read_text("utf-8").splitlines()
    names = display_names(lines)
    assert len(set(names)) == len(names) == 1000
    assert {"crane, wading bird", "crane, lifting machine", "maillot", "maillot, tank suit"} <= set(names)
