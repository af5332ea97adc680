"""`PRECISION=int8`: a prepared model is quantised, checked, and used by the LiteRT engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import encode
from tests.support.small_models import save_small_model
from worker.inference.classifier import Classifier
from worker.inference.engines import load_engine, verify_model
from worker.inference.model_folder import TFLITE, ModelFolder, ModelFolderError
from worker.prepare.__main__ import main
from worker.prepare.errors import PrepareError
from worker.prepare.int8 import prepare_int8
from worker.prepare.pictures import find_pictures
from worker.prepare.preparation import prepare

CODE = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures in as many colours, and a file that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(3)
    for number in range(60):
        pixels = random.integers(0, 256, (1, 1, 3)) * random.random((40, 50, 1))
        (folder / f"{number:02}.png").write_bytes(encode(Image.fromarray(pixels.astype(np.uint8)), "PNG"))
    (folder / "broken.jpg").write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="session")
def float32(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A small model, prepared as ever."""
    folder = tmp_path_factory.mktemp("int8")
    model = save_small_model(folder / "small")
    (model / "labels.txt").write_text("tabby, tabby cat\nespresso\n")
    return ModelFolder.open(prepare(str(model), None, folder / "models"))


def run_prepare(*arguments: str | Path, **environ: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as `make model` does."""
    return subprocess.run(
        [sys.executable, "-m", "worker.prepare", *map(str, arguments)],
        cwd=CODE,
        env={**os.environ, "MODEL_LABELS": "", **{name: str(value) for name, value in environ.items()}},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_command_makes_a_model_of_its_own_name_and_digest(photographs: Path, tmp_path: Path) -> None:
    # When a model is prepared with int8
    model = save_small_model(tmp_path / "small")
    (model / "labels.txt").write_text("tabby, tabby cat\nespresso\n")
    done = run_prepare(
        "--models-dir", tmp_path / "models", MODEL=model, PRECISION="int8", CALIBRATION_IMAGES=photographs
    )

    # Then its folder is beside that of the float32 model, and the only thing on stdout
    assert done.returncode == 0, done.stderr
    folder = ModelFolder.open(Path(done.stdout.removesuffix("\n")))
    float32 = ModelFolder.open(folder.path.with_name(folder.name.removesuffix("-int8")))
    assert folder.name == folder.path.name == f"{float32.name}-int8"
    assert folder.digest != float32.digest and folder.labels == float32.labels
    assert float32.manifest.source in folder.manifest.source and str(tmp_path) not in folder.manifest.source

    # And the steps, the report and the file that is no picture are on stderr
    for part in ("quantising to int8 with 30 photographs: ", "comparing int8 with float32 on 30 other photographs: "):
        assert part in done.stderr
    assert "pictures are too few to tell" in done.stderr
    assert "left out " in done.stderr and "broken.jpg" in done.stderr
    assert "XNNPACK" not in done.stderr
    report = json.loads((folder.path / "report.json").read_text())
    assert report["agreement_percent"] >= 95
    assert report["pictures"] == 30

    # And the worker's classifier runs it with the engine as it is, and names it in results
    classifier = Classifier(load_engine("litert", folder), folder)
    picture = (photographs / "07.png").read_bytes()
    after = classifier.classify(picture, 2)
    before = Classifier(load_engine("litert", float32), float32).classify(picture, 2)
    assert classifier.model == {"name": folder.name, "digest": folder.digest}
    assert [one.label for one in after] == [one.label for one in before]
    assert after[0].confidence == pytest.approx(before[0].confidence, abs=0.05)


def test_it_holds_integers(float32: ModelFolder, photographs: Path, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    folder = prepare_int8(float32, tmp_path / "int8", find_pictures(photographs), 95)

    interpreter = Interpreter(model_path=str(folder / TFLITE))
    kinds = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert np.int8 in kinds
    assert given["dtype"] == answer["dtype"] == np.float32


def test_an_intact_folder_is_kept_until_model_or_pictures_change(
    float32: ModelFolder, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a folder that was made once
    wanted, pictures = tmp_path / "int8", find_pictures(photographs)
    prepare_int8(float32, wanted, pictures, 95)
    digest, made = ModelFolder.open(wanted).digest, (wanted / "model.json").stat().st_mtime_ns
    capsys.readouterr()

    # When it is asked for again, then nothing is done
    assert prepare_int8(float32, wanted, pictures, 95) == wanted
    assert (wanted / "model.json").stat().st_mtime_ns == made and capsys.readouterr().err == ""

    # And when a file is damaged, then it is made again, with the same digest
    (wanted / TFLITE).write_bytes(b"")
    prepare_int8(float32, wanted, pictures, 95)
    assert ModelFolder.open(wanted).digest == digest
    assert capsys.readouterr().err.count("making the folder again: ") == 1

    # And with other pictures it is another model
    prepare_int8(float32, wanted, type(pictures)(pictures.others, pictures.calibration), 95)
    assert "it was made from " in capsys.readouterr().err


def test_a_model_that_changes_too_many_labels_is_refused(photographs: Path, tmp_path: Path) -> None:
    # Given a model of 1001 classes whose likeliest ones are nearly tied
    model = save_small_model(tmp_path / "ties", 1001, seed=1)
    float32 = ModelFolder.open(prepare(str(model), None, tmp_path / "models"))
    wanted = tmp_path / "models" / "ties-int8"

    # When the labels must stay, then it is refused with the figures, and no folder is left
    with pytest.raises(PrepareError, match=r"% of 30 pictures .* and 100 % are required: .*MIN_AGREEMENT"):
        prepare_int8(float32, wanted, find_pictures(photographs), 100)
    assert not wanted.exists()

    # And when none need, then it is made
    assert prepare_int8(float32, wanted, find_pictures(photographs), 0) == wanted


def test_wrong_settings_are_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    cases = [
        ({"PRECISION": "int4"}, "PRECISION='int4': there is no such precision. Use float32 or int8."),
        (
            {"PRECISION": "int8", "CALIBRATION_IMAGES": str(tmp_path / "empty")},
            "holds 0 pictures; at least 20 are needed",
        ),
        ({"PRECISION": "int8", "CALIBRATION_IMAGES": str(tmp_path / "no")}, "is not a folder"),
        ({"PRECISION": "int8", "MIN_AGREEMENT": "most"}, "MIN_AGREEMENT=most is not a number of percent"),
    ]
    for environ, complaint in cases:
        assert main(["--models-dir", str(tmp_path)], {"MODEL": "efficientnet_lite0", **environ}) == 1
        told = capsys.readouterr()
        assert complaint in told.err and told.err.count("\n") == 1 and told.out == ""


def test_tensorflow_does_not_run_it(float32: ModelFolder, photographs: Path, tmp_path: Path) -> None:
    folder = ModelFolder.open(prepare_int8(float32, tmp_path / "int8", find_pictures(photographs), 95))

    verify_model("litert", folder)
    with pytest.raises(ModelFolderError, match="use ENGINE=litert"):
        verify_model("tensorflow", folder)
