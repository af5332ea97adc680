"""The simulated autoscaler follows its documentation, and the rule of deploy/kubernetes keeps its promise in it."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.autoscaler import Autoscaler, Behavior, Policy, Rule, Trigger
from bench.burst import GRACE_SECONDS, START_SECONDS, Service
from bench.scaling import JOB_SECONDS, PLOT, PROMISE_SECONDS, draw, idle, load_of, rules, simulate
from tests.support.manifests import BASE, find, read_objects
from tests.support.repository import ROOT

GUIDE = ROOT / "docs" / "how-to" / "scaling.md"
AT_ONCE = Behavior(0, (Policy(15, percent=10_000),))
OURS = "age and running jobs"


def age_rule(target: float, **options: object) -> Rule:
    return Rule((Trigger("age", target),), **{"min_pods": 1, "max_pods": 1000, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("age", "pods", "ready", "wanted"),
    [
        # The examples of "Horizontal Pod Autoscaling": twice the target, half of it, and nearly it.
        (20, 4, 4, 8),
        (5, 4, 4, 2),
        (10.9, 4, 4, 4),
        (11.1, 4, 4, 5),
        # Only ready pods are multiplied.
        (40, 4, 2, 8),
        (0, 4, 4, 1),
    ],
)
def test_a_value_multiplies_the_ready_pods(age: float, pods: int, ready: int, wanted: int) -> None:
    scaler = Autoscaler(age_rule(10, up=AT_ONCE, down=AT_ONCE))
    assert scaler.decide(0, pods, ready, {"age": age}) == wanted


@pytest.mark.parametrize(("queued", "wanted"), [(80, 2), (84, 2), (121, 4), (0, 1)])
def test_an_average_is_for_each_pod(queued: float, wanted: int) -> None:
    rule = Rule((Trigger("queued", 40, average=True),), min_pods=1, down=AT_ONCE)
    assert Autoscaler(rule).decide(0, 2, 2, {"queued": queued}) == wanted


def test_the_trigger_that_asks_for_most_counts() -> None:
    rule = Rule((Trigger("age", 10), Trigger("running", 1.5, average=True)), down=AT_ONCE)
    assert Autoscaler(rule).decide(0, 4, 4, {"age": 0, "running": 9}) == 6


def test_without_a_behavior_pods_double_every_15_seconds_or_four_are_added() -> None:
    scaler = Autoscaler(age_rule(1))
    # When far more are wanted, Then four are added to two, and six doubled
    assert scaler.decide(0, 2, 2, {"age": 1000}) == 6
    assert scaler.decide(15, 6, 6, {"age": 1000}) == 12
    # And not a second time within the 15 seconds
    assert scaler.decide(20, 12, 12, {"age": 1000}) == 12


def test_scaling_down_waits_until_all_recommendations_of_five_minutes_agree() -> None:
    # Given a service that needed ten pods at the start
    scaler = Autoscaler(age_rule(10))
    scaler.decide(0, 5, 5, {"age": 20})
    # When it needs one from then on
    sizes = {second: scaler.decide(second, 10, 10, {"age": 0}) for second in range(15, 331, 15)}
    # Then the ten stay for five minutes
    assert [second for second, pods in sizes.items() if pods < 10] == [315, 330]


def test_a_policy_limits_how_many_pods_go_in_a_minute() -> None:
    # Given the example of the documentation: four pods or a tenth in a minute, whichever is more
    down = Behavior(0, (Policy(60, pods=4), Policy(60, percent=10)))
    scaler = Autoscaler(age_rule(10, down=down))
    # When one is enough, Then a tenth of 80 goes, and no more within the minute; then of 72 eight at most
    assert scaler.decide(0, 80, 80, {"age": 0}) == 72
    assert scaler.decide(15, 72, 72, {"age": 0}) == 72
    assert scaler.decide(75, 72, 72, {"age": 0}) == 64
    assert scaler.decide(150, 20, 20, {"age": 0}) == 16


def test_keda_starts_the_first_pod_and_stops_the_last_after_the_cooldown() -> None:
    scaler = Autoscaler(age_rule(10, min_pods=0))
    assert scaler.decide(0, 0, 0, {"age": 0}) == 0
    assert scaler.decide(30, 0, 0, {"age": 2}) == 1
    assert scaler.decide(330, 1, 1, {"age": 0}) == 1
    assert scaler.decide(345, 1, 1, {"age": 0}) == 0


@pytest.mark.parametrize("job_seconds", JOB_SECONDS[1:])
def test_our_rule_keeps_its_promise_in_a_burst_of_ten_times_the_load(job_seconds: float) -> None:
    # When the load grows tenfold, and workers take 20 s to start
    assert START_SECONDS == 20
    for outcome in simulate(rules()[OURS], load_of(job_seconds)):
        # Then no job grows older than promised, is refused or interrupted, and there are fewer workers in the end
        assert outcome.ended > 1000 and outcome.oldest_seconds < PROMISE_SECONDS
        assert outcome.refused == outcome.interrupted == 0
        assert outcome.glances[-1].pods < max(glance.pods for glance in outcome.glances)


def test_jobs_would_be_interrupted_if_workers_got_less_time_than_they_take() -> None:
    (longest, rule) = JOB_SECONDS[-1], rules()[OURS]
    outcomes = [Service(rule, load_of(longest), seed, grace_seconds=3).run() for seed in range(6)]
    assert sum(outcome.interrupted for outcome in outcomes) > 0


def test_the_simulated_grace_period_is_that_of_the_workers() -> None:
    workers = find(read_objects(BASE), "Deployment", "topthree-worker")
    assert workers["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == GRACE_SECONDS


def test_the_table_of_the_guide_has_the_figures_of_the_simulation() -> None:
    # Given the rows of the guide
    row = r"^\| ((?:age|running|queue)[^|]*?) \|.* (\d+) s \| [\d.]+ \| \d+ \|$"
    shown = {name: int(seconds) for name, seconds in re.findall(row, GUIDE.read_text("utf-8"), re.MULTILINE)}
    compared = rules()
    # When the rules are simulated with the longest jobs, which takes least time
    longest = load_of(JOB_SECONDS[-1])
    runs = {name: simulate(rule, longest) for name, rule in compared.items()}
    runs[f"{OURS}, from 0 workers"] = simulate(replace(compared[OURS], min_pods=0), idle(longest))
    # Then they show what the guide has: `python -m bench.scaling` prints it again
    assert shown == {name: round(max(one.oldest_seconds for one in those)) for name, those in runs.items()}


def test_the_plot_of_the_guide_is_drawn_from_the_simulation() -> None:
    plot = PLOT.read_text("utf-8")
    assert ElementTree.fromstring(plot)[0].tag.endswith("title") and plot == draw()
    assert PLOT.name in GUIDE.read_text("utf-8")
