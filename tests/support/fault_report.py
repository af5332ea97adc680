"""The row that every fault case prints, and the file of all rows."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.repository import ROOT

ROWS_FILE = ROOT / "artifacts" / "faults.json"


@dataclass(frozen=True)
class Row:
    """What a case prints; `duplicated` counts executions beyond a job's first, `restarted` workers that ended."""

    case: str
    scale: str
    accepted: int
    finished: int
    lost: int
    unexpected: int
    duplicated: int
    refused: int
    unknown: int
    restarted: int
    seconds: float


def write_row(row: Row) -> None:
    """Print the row, and keep it for the table in the documentation."""
    print("\n" + "  ".join(f"{name} {value}" for name, value in asdict(row).items()))
    _write([*_others(row.case, row.scale), asdict(row)])


def forget_row(case: str, scale: str) -> None:
    """Forget what an earlier run of the case gave: one that fails midway must not leave an old success."""
    _write(_others(case, scale))


def _others(case: str, scale: str) -> list[dict[str, Any]]:
    rows = json.loads(ROWS_FILE.read_text("utf-8")) if ROWS_FILE.exists() else []
    return [row for row in rows if (row["case"], row["scale"]) != (case, scale)]


def _write(rows: list[dict[str, Any]]) -> None:
    ROWS_FILE.parent.mkdir(exist_ok=True)
    ROWS_FILE.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
