"""Many jobs, one after another: no process and no store grows."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression

from tests.faults.conftest import Scale
from tests.support.fault_case import History
from tests.support.fault_report import ROWS_FILE
from tests.support.processes import RedisServer
from tests.support.supervised import StubService, children
from tests.support.wait import eventually

SOAK_FILE = ROWS_FILE.with_name("faults-soak.json")
# Small enough that a batch is read before its first results expire.
BATCH_JOBS = 100
TTL_SECONDS = 10
# Until then threads and pools are still filling up.
WARM_UP_JOBS = 1000
MORE_FILES_AT_MOST = 5


@dataclass(frozen=True)
class Sample:
    """What a process holds after so many jobs."""

    jobs: int
    megabytes: float
    files: int


def test_a_soak(server: RedisServer, tmp_path: Path, scale: Scale) -> None:
    # Given a service that keeps results for seconds only
    ttl = str(TTL_SECONDS)
    service = StubService(server.url, tmp_path / "service", RESULT_TTL_SECONDS=ttl, TOMBSTONE_TTL_SECONDS=ttl)
    try:
        service.start()
        assert service.api is not None
        (worker,) = service.workers
        names = {service.api.pid: "API", worker.pid: "worker parent", server.process.pid: "Redis"}
        names |= {pid: f"worker child {place}" for place, pid in enumerate(children(worker.pid), 1)}
        samples: dict[str, list[Sample]] = {name: [] for name in names.values()}
        case = History("soak", scale.name, service)
        with server.client() as client:
            keys_before = client.dbsize()
            # When thousands of jobs pass through
            while (jobs := len(case.accepted)) < WARM_UP_JOBS + scale.soak_jobs:
                with case.traffic(jobs + BATCH_JOBS, per_second=1000):
                    pass
                case.read(60)
                for pid, name in names.items():
                    samples[name].append(measure(pid, len(case.accepted)))
            # Then all are answered, by the same processes
            row = case.settle(60)
            assert row.duplicated == row.restarted == 0
            # And nothing has grown
            report = {name: growth(of) for name, of in samples.items()}
            ROWS_FILE.with_name(f"faults-soak-{scale.name}.json").write_text(
                json.dumps(report, indent=1) + "\n", "utf-8"
            )
            for name, (slope, files) in report.items():
                print(f"{name}: {slope:+.3f} MB per 1000 jobs, {files:+d} files")
            eventually(lambda: client.dbsize() <= keys_before + 10, 3 * TTL_SECONDS, "an end of the keys")
        # (Redis' memory holds what has not expired)
        del report["Redis"]
        assert all(slope < scale.soak_megabytes for slope, _ in report.values()), report
        assert all(files <= MORE_FILES_AT_MOST for _, files in report.values()), report
    finally:
        service.stop()


def measure(pid: int, jobs: int) -> Sample:
    """Return the memory that is the process' own, and how many files it has open."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
    return Sample(jobs, kibibytes * 1024 / 1e6, len(list(Path(f"/proc/{pid}/fd").iterdir())))


def growth(samples: list[Sample]) -> tuple[float, int]:
    """Return megabytes per 1,000 jobs, by least squares after the warm-up, and how many more files are open."""
    warm = [sample for sample in samples if sample.jobs >= WARM_UP_JOBS]
    slope, _ = linear_regression([sample.jobs for sample in warm], [sample.megabytes for sample in warm])
    return slope * 1000, warm[-1].files - warm[0].files
