"""`docker compose up` for real: three workers, scaled, stopped and killed, and no accepted picture is lost."""

import json
from typing import Any

import pytest
import requests

from tests.compose.conftest import Pictures
from tests.compose.load import CLIENTS, load, unseen
from tests.support.docker import Stack, host_of
from tests.support.wait import eventually

# Pictures of 12 megapixels take a worker some 60 ms each.
LARGE = 10
APP_SERVICES = ["api", "worker"]
SERVICES = [*APP_SERVICES, "redis"]


@pytest.fixture(scope="module")
def large(pictures: Pictures) -> bytes:
    return pictures(1, LARGE)[0]


def assert_workers_answer(stack: Stack, jobs: list[str], names: set[str]) -> None:
    """The workers of these names, and no others, answer what is accepted from now on."""
    first = len(jobs) + CLIENTS
    hosts = {host_of(name) for name in names}

    def answering() -> set[str]:
        # The last ones only: each round asks again.
        records = [stack.get(f"/result/{job}").json() for job in jobs[first:][-50:]]
        return {host_of(record["worker"]) for record in records if "worker" in record}

    eventually(lambda: answering() >= hosts, 60, f"answers of {names}")
    assert answering() == hosts


def assert_all_succeeded(records: list[dict[str, Any]], count: int) -> None:
    assert len(records) == count
    assert [record for record in records if record["status"] != "succeeded"] == []
    assert all(len(record["result"]) == 3 for record in records)


class TestWork:
    def test_sixty_pictures_are_shared_by_three_workers(self, stack: Stack, large: bytes) -> None:
        # Given three ready workers
        names = stack.scale(3)
        # When sixty pictures are sent
        jobs = [stack.accept(unseen(large)) for _ in range(60)]
        # Then all are answered, and each of the three has answered some
        records = stack.results(jobs, seconds=60)
        assert_all_succeeded(records, 60)
        assert {record["worker"] for record in records} == names
        assert {record["model"]["name"] for record in records} == {"efficientnet_lite0"}

    def test_scaling_to_one_and_back_during_work_loses_nothing(self, stack: Stack, large: bytes) -> None:
        # Given three workers at work
        stack.scale(3)
        with load(stack, large) as jobs:
            # When two of them are taken away, Then the last one does the rest
            assert_workers_answer(stack, jobs, stack.scale(1))
            # And when they come back all three take part again
            assert_workers_answer(stack, jobs, stack.scale(3))
        # And no job was lost or had to begin twice
        records = stack.results(jobs, seconds=60)
        assert_all_succeeded(records, len(jobs))
        assert {record["attempts"] for record in records} == {1}

    def test_stopping_all_workers_during_work_loses_nothing(self, stack: Stack, large: bytes) -> None:
        # Given three workers at work
        stack.scale(3)
        with load(stack, large) as jobs:
            # When all are stopped, Then jobs stay open
            stack.run("stop", "worker")
            eventually(lambda: len(stack.open_jobs(jobs)) == CLIENTS, 30, "an open job of each client")
            # And when workers are started again, they end
            stack.run("start", "worker")
        assert_all_succeeded(stack.results(jobs, seconds=60), len(jobs))

    def test_jobs_of_a_killed_worker_are_done_by_the_others(self, stack: Stack, large: bytes) -> None:
        # Given three workers at work
        names = stack.scale(3)
        killed = min(names)
        with load(stack, large) as jobs:
            # When one of them is killed, Then the others go on
            stack.engine.run("kill", stack.container_of(killed))
            assert_workers_answer(stack, jobs, names - {killed})
            assert stack.wait_ready(2) == names - {killed}
        # And every job ends well
        assert_all_succeeded(stack.results(jobs, seconds=60), len(jobs))

    def test_a_crashed_worker_is_started_again(self, stack: Stack, large: bytes) -> None:
        # Given three workers at work
        names = stack.scale(3)
        name = min(names)
        container = stack.container_of(name)
        restarts = stack.engine.inspect(container)["RestartCount"]
        with load(stack, large) as jobs:
            # When the process of one dies, Then it is started again and takes part
            pid = name.rpartition("-")[2]
            stack.engine.run("exec", container, "sh", "-c", f"kill -9 {pid}")
            eventually(lambda: stack.engine.inspect(container)["RestartCount"] > restarts, 30, "a restart")
            assert_workers_answer(stack, jobs, names)
        # And every job ends well
        assert_all_succeeded(stack.results(jobs, seconds=60), len(jobs))


class TestWhatAWorkerNeeds:
    def test_without_its_model_a_worker_says_so_and_ends(self, stack: Stack) -> None:
        done = stack.call("run", "--rm", "--no-deps", "-e", "MODEL_DIR=/nowhere", "worker")
        assert done.returncode != 0
        assert "there is no model folder /nowhere" in done.stdout

    def test_without_redis_a_worker_says_so_and_waits_for_it(self, stack: Stack) -> None:
        # Given a worker that is started while Redis is away
        stack.scale(1)
        [worker] = stack.containers("worker")
        stack.run("stop", "redis")
        stack.engine.run("restart", worker)
        # Then it says so
        began = stack.engine.inspect(worker)["State"]["StartedAt"]
        eventually(
            lambda: "Cannot connect to redis:" in stack.engine.run("logs", "--since", began, worker),
            60,
            "a sentence about Redis",
        )
        assert stack.get("/health/live").status_code == 200
        assert stack.get("/health/ready").status_code == 503
        # And when Redis comes it becomes ready
        stack.run("start", "redis")
        stack.wait_ready(1)

    def test_the_health_check_fails_where_no_worker_is(self, stack: Stack) -> None:
        done = stack.call("run", "--rm", "--no-deps", "worker", "python", "-m", "worker.health")
        assert done.returncode == 1
        assert "no worker on" in done.stdout

    def test_a_prepared_model_folder_can_be_mounted(self, mounted: Stack, pictures: Pictures) -> None:
        # Given a stack whose image has no model, and a folder that is mounted
        [worker] = mounted.containers("worker")
        [mount] = mounted.engine.inspect(worker)["Mounts"]
        assert (mount["Destination"], mount["RW"]) == ("/app/model", False)
        # Then it answers with that model
        [record] = mounted.results([mounted.accept(pictures(1)[0])], seconds=30)
        assert record["model"]["name"] == "efficientnet_lite0"


class TestRedis:
    def test_its_data_outlives_its_container(self, stack: Stack, pictures: Pictures) -> None:
        # Given a finished job
        stack.scale(1)
        job = stack.accept(pictures(1)[0])
        [record] = stack.results([job], seconds=30)
        # When the container of Redis is removed and made anew
        stack.run("rm", "--stop", "--force", "redis")
        stack.run("up", "--detach", "--no-build", "--no-recreate", "--wait", "redis")
        # Then the job is still known
        eventually(lambda: stack.get("/health/ready").status_code == 200, 30, "a ready API")
        assert stack.get(f"/result/{job}").json() == record

    def test_it_keeps_every_write_and_drops_none(self, stack: Stack) -> None:
        for name, value in [("appendonly", "yes"), ("maxmemory-policy", "noeviction")]:
            assert stack.run("exec", "-T", "redis", "redis-cli", "config", "get", name).split() == [name, value]

    def test_only_the_service_reaches_it(self, stack: Stack) -> None:
        [container] = stack.containers("redis")
        assert not any(stack.engine.inspect(container)["NetworkSettings"]["Ports"].values())
        answer = stack.run("exec", "-T", "-e", "REDISCLI_AUTH=", "redis", "redis-cli", "ping")
        assert "NOAUTH" in answer


class TestContainers:
    @pytest.mark.parametrize("service", SERVICES)
    def test_they_are_healthy(self, stack: Stack, service: str) -> None:
        def all_healthy() -> bool:
            found = [stack.engine.inspect(container) for container in stack.containers(service)]
            return {container["State"]["Health"]["Status"] for container in found} == {"healthy"}

        eventually(all_healthy, 60, f"healthy containers of {service}")

    @pytest.mark.parametrize("service", SERVICES)
    def test_no_process_is_roots(self, stack: Stack, service: str) -> None:
        for container in stack.containers(service):
            _heading, *processes = stack.engine.run("top", container, "-eo", "pid,uid").splitlines()
            users = {process.split()[1] for process in processes}
            assert users == {"999" if service == "redis" else "10001"}

    @pytest.mark.parametrize("service", SERVICES)
    def test_they_may_do_as_little_as_possible(self, stack: Stack, service: str) -> None:
        for container in stack.containers(service):
            found = stack.engine.inspect(container)["HostConfig"]
            assert found["ReadonlyRootfs"] is True
            assert found["CapDrop"] == ["ALL"]
            assert found["SecurityOpt"] == ["no-new-privileges:true"]
            assert found["RestartPolicy"]["Name"] == "unless-stopped"
        done = stack.call("exec", "-T", service, "touch", "/here")
        assert "Read-only file system" in done.stdout

    @pytest.mark.parametrize("service", APP_SERVICES)
    def test_an_init_reaps_and_forwards_signals(self, stack: Stack, service: str) -> None:
        for container in stack.containers(service):
            assert stack.engine.inspect(container)["HostConfig"]["Init"] is True

    @pytest.mark.parametrize(
        ("service", "absent", "present"),
        [
            ("api", ["tensorflow", "ai_edge_litert", "worker"], "flask"),
            ("worker", ["tensorflow", "flask", "api"], "ai_edge_litert"),
        ],
    )
    def test_an_image_holds_what_its_process_needs(
        self, stack: Stack, service: str, absent: list[str], present: str
    ) -> None:
        program = "import importlib.util, sys; print([m for m in sys.argv[1:] if importlib.util.find_spec(m)])"
        found = stack.run("exec", "-T", service, "python", "-c", program, *absent, present)
        assert found.strip() == str([present])

    def test_the_api_is_published_and_answers_at_once(self, stack: Stack, pictures: Pictures) -> None:
        stack.scale(1)
        answer = requests.post(f"{stack.url}/upload", files={"image": ("a.png", pictures(1)[0])}, timeout=40)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["prediction_1", "prediction_2", "prediction_3"]


def test_webhooks_are_sent_with_their_profile(stack: Stack) -> None:
    webhooks = json.loads(stack.run("--profile", "webhooks", "config", "--format", "json"))["services"]["webhooks"]
    assert webhooks["command"] == ["python", "-m", "worker.webhooks"]
    assert webhooks["environment"]["REDIS_URL"].endswith("@redis:6379/0")


def test_the_gpu_worker_waits_behind_its_profile(stack: Stack) -> None:
    usual = json.loads(stack.run("config", "--format", "json"))["services"]
    assert set(usual) == {"api", "worker", "redis"}
    gpu = json.loads(stack.run("--profile", "gpu", "config", "--format", "json"))["services"]["worker-gpu"]
    assert gpu["build"]["target"] == "gpu"
    assert gpu["environment"]["ENGINE"] == "tensorflow"
    [device] = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
