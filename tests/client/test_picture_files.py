"""Which files are pictures to send."""

import os
from pathlib import Path

import pytest

from topthree_client.picture_files import EXTENSIONS, find_pictures, kinds_of


def find(*paths: Path | str) -> list[str]:
    errors: list[OSError] = []
    found = find_pictures(map(str, paths), errors.append)
    assert not errors
    return list(found.pictures)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_folders_are_searched_for_what_is_called_like_a_picture(tmp_path: Path) -> None:
    make(tmp_path, "b/2.JPG", "b/1.heic", "a.webp", "c.txt", "jpg", ".hidden.png", ".folder/3.png", "b/c/4.tiff")
    assert [os.path.relpath(file, tmp_path) for file in find(tmp_path)] == [
        "a.webp",
        "b/1.heic",
        "b/2.JPG",
        "b/c/4.tiff",
    ]


def test_every_suffix_of_a_picture_is_found_in_any_case(tmp_path: Path) -> None:
    names = sorted(f"{number:02}{suffix}" for number, suffix in enumerate((*EXTENSIONS, *map(str.upper, EXTENSIONS))))
    make(tmp_path, *names)
    assert [Path(file).name for file in find(tmp_path)] == names
    assert {".hif", ".dib", ".mpo", ".apng", ".heics"} < EXTENSIONS


def test_other_files_in_folders_are_counted_by_suffix(tmp_path: Path) -> None:
    # Given a folder with pictures and other files, one of which is given itself too
    make(tmp_path, "1.png", "a.txt", "b.TXT", "c", "d.mov", ".hidden.txt", "e.mov")
    # When pictures are looked for
    found = find_pictures([str(tmp_path), str(tmp_path / "e.mov")], lambda _: None)
    # Then what is skipped is counted
    assert [Path(file).name for file in found.pictures] == ["1.png", "e.mov"]
    assert kinds_of(found.skipped) == "2 .txt, 1 without an extension, 1 .mov"


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    make(tmp_path, "picture", ".hidden.png")
    assert find(tmp_path / "picture", tmp_path / ".hidden.png") == [f"{tmp_path}/picture", f"{tmp_path}/.hidden.png"]


def test_a_file_that_is_reached_twice_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/1.png")
    monkeypatch.chdir(tmp_path)
    assert find("a/1.png", "a", "./a", tmp_path) == ["a/1.png"]


def test_links_to_files_are_taken_those_to_nowhere_are_told_and_those_to_folders_are_left(tmp_path: Path) -> None:
    # Given links to a picture, to nowhere and to a folder
    make(tmp_path, "a/1.png")
    (tmp_path / "a" / "2.png").symlink_to("1.png")
    (tmp_path / "a" / "3.png").symlink_to("nowhere.png")
    (tmp_path / "a" / "notes").symlink_to("nowhere")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    # When pictures are looked for
    errors: list[OSError] = []
    found = find_pictures([str(tmp_path)], errors.append)
    # Then the link to the picture is one, and that a picture is missing is told
    assert found.pictures == [f"{tmp_path}/a/1.png", f"{tmp_path}/a/2.png"]
    assert [(error.filename, error.strerror) for error in errors] == [
        (f"{tmp_path}/a/3.png", "this link leads nowhere")
    ]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a folder that is gone when it is read, as a user without rights would see it
    make(tmp_path, "a/1.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    # When its parent is searched, Then that is told
    errors: list[OSError] = []
    assert find_pictures([str(tmp_path)], errors.append).pictures == []
    assert [error.filename for error in errors] == [str(tmp_path / "a")]
