"""Completion in a real bash."""

import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import topthree
from topthree_client.arguments import SHELLS

# Completes the words that are its arguments, as bash does for the last one, and prints the candidates.
COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_topthree
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "bash"
    done = topthree("completion", "bash")
    assert (done.returncode, done.stderr) == (0, b"")
    file.write_bytes(done.stdout)
    return file


@pytest.mark.parametrize(
    ("words", "candidates"),
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
        (["completion", ""], set(SHELLS)),
        (["batch", ""], {"list", "show", "results", "cancel"}),
        (["batch", "--q"], {"--quiet"}),
        (["batch", "results", "--f"], {"--format"}),
        (["batch", "results", "--format", "j"], {"json", "jsonl"}),
        (["batch", "cancel", ""], {""}),
        # Without candidates, bash completes the names of files.
        (["classify", ""], {""}),
        (["classify", "--out", ""], {""}),
    ],
)
def test_bash_completes(script: Path, words: list[str], candidates: set[str]) -> None:
    command = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), "topthree", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert set(done.stdout.split("\n")[:-1]) == candidates, done.stderr


def test_the_script_of_zsh_loads_what_bash_has() -> None:
    # There is no zsh where these tests run; it reads the script of bash.
    bash, zsh = (topthree("completion", shell).stdout.decode() for shell in ("bash", "zsh"))
    assert "bashcompinit" in zsh and bash[bash.index("_topthree()") :] in zsh
