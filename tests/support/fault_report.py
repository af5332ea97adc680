"""The row that every fault case prints, and the file of all rows."""

import json
from dataclasses import asdict, dataclass

from tests.support.processes import ROOT

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
    ROWS_FILE.parent.mkdir(exist_ok=True)
    rows = json.loads(ROWS_FILE.read_text("utf-8")) if ROWS_FILE.exists() else []
    kept = [other for other in rows if (other["case"], other["scale"]) != (row.case, row.scale)]
    ROWS_FILE.write_text(json.dumps([*kept, asdict(row)], indent=1) + "\n", "utf-8")
