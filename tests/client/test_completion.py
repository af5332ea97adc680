"""Completion in a real bash, zsh and fish."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import topthree
from tests.support.needs import skip_outside_ci
from topthree_client.arguments import SHELLS

# Each completes the last of its arguments after the first, which is the script, and prints the candidates.
PROGRAMS = {
    "bash": """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_topthree
printf '%s\\n' "${COMPREPLY[@]}"
""",
    # What zsh does before it leaves out what does not fit, and the names of files.
    "zsh": """
compdef() { }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compgen -F _topthree -- "${COMP_WORDS[-1]}"
""",
    "fish": """
source $argv[1]
complete -C (string join ' ' -- $argv[2..-1])
""",
}
OPTIONS = {"bash": ("--norc",), "zsh": ("-f",), "fish": ("--no-config",)}


@pytest.fixture(scope="module", params=PROGRAMS)
def shell(request: pytest.FixtureRequest) -> str:
    if not shutil.which(request.param):
        skip_outside_ci(f"needs {request.param}")
    return str(request.param)


@pytest.fixture(scope="module")
def script(shell: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp(shell) / "script"
    done = topthree("completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    file.write_bytes(done.stdout)
    return file


def candidates(shell: str, script: Path, *words: str) -> set[str]:
    """Return what may stand in place of the last word; `script` is in the current folder."""
    # Called `bash` and so on in bash and zsh, which take the first of the arguments after a program for its name.
    name = [] if shell == "fish" else [shell]
    command = [shell, *OPTIONS[shell], "-c", PROGRAMS[shell], *name, script, "topthree", *words]
    done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=30, check=True)
    assert not done.stderr, done.stderr
    # fish adds what the candidate means.
    found = {line.partition("\t")[0] for line in done.stdout.splitlines()}
    return {each for each in found if each.startswith(words[-1])} - {""}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], {"classify", "get", "cancel", "batch", "status", "completion"}),
        (["c"], {"classify", "cancel", "completion"}),
        (["--ver"], {"--version", "--verbose"}),
        (["classify", "--f"], {"--format", "--files-from"}),
        (["--url", "http://service", "classify", "--min"], {"--min-confidence"}),
        (["classify", "--format", ""], {"table", "json", "jsonl", "csv"}),
        (["classify", "--format", "js"], {"json", "jsonl"}),
        (["get", "--format", ""], {"table", "json"}),
        (["get", "--w"], {"--wait"}),
        (["status", "--w"], {"--watch"}),
        (["completion", ""], set(SHELLS)),
        (["batch", ""], {"list", "show", "results", "cancel"}),
        (["batch", "--q"], {"--quiet"}),
        (["batch", "results", "--f"], {"--format"}),
        (["batch", "results", "--format", "j"], {"json", "jsonl"}),
    ],
)
def test_a_shell_completes(shell: str, script: Path, words: list[str], expected: set[str]) -> None:
    assert candidates(shell, script, *words) == expected


@pytest.mark.parametrize("words", [["classify", ""], ["classify", "--out", ""]])
def test_names_of_files_are_left_to_the_shell(shell: str, script: Path, words: list[str]) -> None:
    # bash and zsh complete them where the script has no candidates; fish has them among the candidates.
    assert candidates(shell, script, *words) == ({"script"} if shell == "fish" else set())
