"""The plots in bench/results/ show the measurements beside them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.plot import draw
from tests.support.repository import ROOT

RESULTS = [file for file in sorted(ROOT.glob("bench/results/*.json")) if not file.stem.endswith("-plane")]


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_the_plots_beside_results_are_drawn_from_them(file: Path) -> None:
    # When the results are drawn
    plots = draw(json.loads(file.read_text("utf-8")))
    # Then that gives the plots beside them: `python -m bench.plot` writes them again
    beside = {path.stem.removeprefix(f"{file.stem}-"): path for path in file.parent.glob(f"{file.stem}-*.svg")}
    assert plots == {name: path.read_text("utf-8") for name, path in beside.items()}
    # And they can be read
    assert {ElementTree.fromstring(svg)[0].tag.rpartition("}")[2] for svg in plots.values()} == {"title"}


def test_a_run_without_other_servers_and_loads_has_no_plots_of_them() -> None:
    # Given a short run of the service alone, with small pictures
    results = json.loads(RESULTS[-1].read_text("utf-8"))
    run = results["rounds"][0]["contestants"]["topthree"]["runs"]["8 clients"]
    results["rounds"] = [{"contestants": {"topthree": {"runs": {"8 clients": run}}}}]
    # When it is drawn
    plots = draw(results)
    # Then there is the plot for which it has a figure
    assert list(plots) == ["sizes"]
    assert "512 x 512" in plots["sizes"] and "4000 x 3000" not in plots["sizes"]
