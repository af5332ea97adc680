"""Sends hostile files through a service and writes down what came of each."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import requests

from tests.hostile.case import FAILED, REFUSED, SUCCEEDED, TOO_LARGE, Case
from tests.support.pictures import TRAFFIC_LIGHT
from tests.support.processes import Service

LIMIT_SECONDS = 40
# Files between two looks at a good picture.
EVERY = 100
# At once; the worker has two children, and what waits for expensive neighbours must be done in time too.
CLIENTS = 3
OPEN = "open"
EXPENSIVE = "Picture too expensive"


@dataclass(frozen=True)
class Ended:
    """What came of a file: one of the ways in `case`, or a sentence on what is wrong with it."""

    case: Case
    outcome: str
    title: str
    seconds: float
    wrong: str


class Gauntlet:
    """A service under attack, and the answer that a good picture got before it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._good = TRAFFIC_LIGHT.read_bytes()
        self._expected = self._answer()
        self.ended: list[Ended] = []

    def send(self, cases: Iterable[Case]) -> None:
        """Send all files; after every hundred a good picture must get the answer that it got before."""
        stream = iter(cases)
        with ThreadPoolExecutor(CLIENTS) as clients:
            while hundred := list(islice(stream, EVERY)):
                self.ended += clients.map(self._send, hundred)
                assert self._answer() == self._expected, f"a good picture's answer changed after {hundred[-1].name}"

    @property
    def wrong(self) -> list[str]:
        """What is wrong, a line for each file."""
        return [f"{each.case.format}, {each.case.name}: {each.wrong}" for each in self.ended if each.wrong]

    def _answer(self) -> Any:
        answer = self._service.upload(self._good)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _send(self, case: Case) -> Ended:
        """Send one file and judge what comes of it."""
        data = case.make()
        began = time.monotonic()
        answer = self._upload(case, data)
        told = answer.json()
        seconds = time.monotonic() - began
        outcome = _outcome(answer)
        wrong = self._fault(case, outcome, answer, told)
        return Ended(case, outcome, told.get("title", ""), seconds, wrong)

    def _fault(self, case: Case, outcome: str, answer: requests.Response, told: Any) -> str:
        """Return what is wrong with an answer, "" if nothing is."""
        if outcome == OPEN:
            return f"has not ended after {LIMIT_SECONDS} s"
        if answer.status_code >= 500 or (outcome != SUCCEEDED and not told["error"]):
            return f"answers {answer.status_code}: {answer.text}"
        if outcome not in case.expected:
            return f"{outcome} ({told.get('error', '')}), wanted is {' or '.join(sorted(case.expected))}"
        if outcome in (SUCCEEDED, FAILED):
            record = self._service.result(answer.headers["Location"].rpartition("/")[2]).json()
            if record["status"] != outcome or (outcome == FAILED and record["problem"]["status"] != answer.status_code):
                return f"is recorded as {record}"
        if case.label and outcome == SUCCEEDED and told["prediction_1"]["predicted_label"] != case.label:
            return f"is called {told['prediction_1']['predicted_label']}, wanted is {case.label}"
        return ""

    def _upload(self, case: Case, data: bytes) -> requests.Response:
        headers = {"Prefer": f"wait={LIMIT_SECONDS}"}
        url, timeout = f"{self._service.url}/upload", LIMIT_SECONDS + 20
        if case.raw:
            return requests.post(url, data, headers={**headers, "Content-Type": case.content_type}, timeout=timeout)
        files = {"image": (case.file_name, data, case.content_type)}
        return requests.post(url, files=files, headers=headers, timeout=timeout)


def _outcome(answer: requests.Response) -> str:
    match answer.status_code:
        case 200:
            return SUCCEEDED
        case 202:
            return OPEN
        case 413:
            return TOO_LARGE
    return FAILED if "Location" in answer.headers else REFUSED


COLUMNS = ("files", "answered", "refused", "over a limit", "cannot be decoded", "too expensive", "wrong", "slowest, s")


def table(ended: Sequence[Ended]) -> str:
    """Return what came of the files of every format as a Markdown table."""
    formats = [*sorted({each.case.format for each in ended} - {"none"}), "none"]
    rows = [_row(name, [each for each in ended if each.case.format == name]) for name in formats]
    rows.append(_row("**all**", ended))
    return "\n".join([_line(["format", *COLUMNS]), _line(["---"] * (len(COLUMNS) + 1)), *map(_line, rows)]) + "\n"


def _row(name: str, ended: Sequence[Ended]) -> list[str]:
    count = Counter(each.outcome for each in ended)
    expensive = sum(each.title == EXPENSIVE for each in ended)
    numbers = [
        *(len(ended), count[SUCCEEDED], count[REFUSED], count[TOO_LARGE], count[FAILED] - expensive, expensive),
        sum(bool(each.wrong) for each in ended),
    ]
    slowest = max((each.seconds for each in ended), default=0)
    return [name, *map(str, numbers), f"{slowest:.1f}"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
