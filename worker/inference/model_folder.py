"""A prepared model folder `models/<name>/`: reads its content and verifies it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

# Raise it when folders made by older code must be prepared again.
FORMAT_VERSION = 1

MANIFEST = "model.json"
LABELS = "labels.txt"
SAVED_MODEL = "saved_model"
TFLITE = "model.tflite"


class ModelFolderError(Exception):
    """A model folder is missing, damaged or of another format; the message says what to do."""


def _inside_the_folder(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} is not a path inside the folder")
    return name


RelativePath = Annotated[str, AfterValidator(_inside_the_folder)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The content of `model.json`.

    Every model maps float32 [n, input_height, input_width, 3] in [0, 1] to float32 [n, class_count] logits, which is
    TF-Hub's common signature for image classification. Therefore neither a range nor a label offset is stored. `files`
    maps the name of every other file of the folder to its sha256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    name: str = Field(min_length=1)
    source: str = Field(min_length=1)
    input_height: int = Field(gt=0)
    input_width: int = Field(gt=0)
    class_count: int = Field(gt=0)
    files: dict[RelativePath, Sha256]

    @property
    def digest(self) -> str:
        """64 hex digits over everything that determines results: the files and the input size."""
        content = {"files": self.files, "input": [self.input_height, self.input_width]}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose manifest and labels have been read and verified."""

    path: Path
    manifest: Manifest
    labels: tuple[str, ...]
    """The display name of each class."""

    @classmethod
    def open(cls, path: Path) -> "ModelFolder":
        """Read `model.json` and `labels.txt`; only the verify methods check the large files.

        Raises ModelFolderError: the folder or its manifest is missing, the manifest is invalid or has another format
        version, or the labels are damaged.
        """
        manifest = _read_manifest(path)
        _verify(path, manifest, lambda name: name == LABELS)
        lines = (path / LABELS).read_text(encoding="utf-8").splitlines()
        if len(lines) != manifest.class_count:
            raise ModelFolderError(
                f"{path / LABELS} has {len(lines)} lines for {manifest.class_count} classes: run `make model`"
            )
        return cls(path, manifest, tuple(display_names(lines)))

    @property
    def name(self) -> str:
        """The model's name, which is part of every result."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """The manifest's digest: folders with equal digests give identical results."""
        return self.manifest.digest

    def has(self, name: str) -> bool:
        """Whether the manifest lists the file `name`, or files in the subfolder `name`."""
        return any(_is_in(file, name) for file in self.manifest.files)

    def verify(self, name: str) -> Path:
        """Check the sha256 of the file `name`, or of all files in the subfolder `name`, and return its path.

        Raises ModelFolderError: a file is damaged or missing, or the manifest lists none.
        """
        _verify(self.path, self.manifest, lambda file: _is_in(file, name))
        return self.path / name

    def verify_all(self) -> None:
        """Check the sha256 of every file of the manifest; ModelFolderError if one is damaged or missing."""
        _verify(self.path, self.manifest, lambda _name: True)


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not path.is_dir():
        raise ModelFolderError(f"there is no model folder {path}: run `make model`")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFolderError(f"{file} cannot be read ({error.strerror}): run `make model`") from error
    except ValueError as error:
        raise ModelFolderError(f"{file} is not JSON ({error}): run `make model`") from error
    # Check this first: another version may have other fields.
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ModelFolderError(
            f"{file} has format version {version!r}, this program reads {FORMAT_VERSION}: run `make model`"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelFolderError(f"{file} is invalid ({place}: {first['msg']}): run `make model`") from error


def _is_in(file: str, name: str) -> bool:
    return file == name or file.startswith(f"{name}/")


def _verify(path: Path, manifest: Manifest, wanted: Callable[[str], bool]) -> None:
    names = [name for name in manifest.files if wanted(name)]
    if not names:
        raise ModelFolderError(f"{path / MANIFEST} does not name the files of the model: run `make model`")
    for name in names:
        try:
            found = file_sha256(path / name)
        except OSError as error:
            raise ModelFolderError(f"{path / name} cannot be read ({error.strerror}): run `make model`") from error
        if found != manifest.files[name]:
            raise ModelFolderError(f"{path / name} is damaged (its sha256 differs): run `make model`")


def display_name(line: str) -> str:
    """Return a line of `labels.txt` up to the first comma, which separates synonyms."""
    return line.partition(",")[0].strip()


def display_names(lines: Sequence[str]) -> list[str]:
    """Return the label shown to users for each line of `labels.txt`; no two labels are equal.

    It is the first synonym, with the next ones where several classes share it: "maillot, tank suit". Classes that share
    all of them get their number in the model's output, from 0.
    """
    synonyms = [[synonym.strip() for synonym in line.split(",")] for line in lines]
    names = [display_name(line) for line in lines]
    for count in range(2, 1 + max(map(len, synonyms), default=0)):
        shared = _shared(names)
        names = [", ".join(synonyms[i][:count]) if name in shared else name for i, name in enumerate(names)]
    shared = _shared(names)
    return [f"{name} ({i})" if name in shared else name for i, name in enumerate(names)]


def _shared(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits; OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
