"""deploy/kubernetes: valid by the schemas, in agreement with the code, and with no more rights than needed.

No cluster runs it here.
"""

import kubernetes_validate
import pytest
import yaml

from api.server.web_server import DRAIN_SECONDS
from shared.settings import Settings
from tests.support.manifests import (
    BASE,
    EXAMPLE,
    KUBERNETES,
    build,
    container,
    find,
    kustomization,
    pods,
    quantity,
    read_objects,
    settings,
    variables,
)
from tests.support.monitoring import documented
from tests.support.repository import ROOT
from worker.runtime.watchdog import STOP_MARGIN_SECONDS

OBJECTS = read_objects(EXAMPLE)
PODS = pods(OBJECTS)
# The oldest version that docs/how-to/kubernetes.md names, and the newest that the library knows.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
# KEDA's schema is not among those of the library.
OTHER_KINDS = {"ScaledObject"}


def name_of(manifest: dict[str, object]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"  # type: ignore[index]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OBJECTS, ids=name_of)
def test_every_object_is_valid(manifest: dict[str, object], version: str) -> None:
    if manifest["kind"] not in OTHER_KINDS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_belongs_to_a_kustomization() -> None:
    for file in KUBERNETES.glob("*/*.yaml"):
        assert file.name in ("kustomization.yaml", *kustomization(file.parent)["resources"])


@pytest.mark.parametrize("version", VERSIONS)
def test_kustomize_builds_the_example(version: str) -> None:
    # When kustomize builds it, Then there is every object, and each is valid
    built = build(EXAMPLE)
    assert {name_of(each) for each in OBJECTS} <= {name_of(each) for each in built}
    for each in built:
        if each["kind"] not in OTHER_KINDS:
            kubernetes_validate.validate(each, version, strict=True)
    # And all are in the namespace, of which the address of the metrics speaks
    namespace = find(built, "Namespace", "topthree")["metadata"]["name"]
    assert {each["metadata"]["namespace"] for each in built if each["kind"] != "Namespace"} == {namespace}
    # And the images come from the registry
    assert all(container(pod)["image"].startswith("registry.example/topthree-") for pod in pods(built).values())
    # And the settings of the overlay are beside those of the base
    (config,) = [each for each in built if each["kind"] == "ConfigMap"]
    assert config["data"] == settings(BASE) | settings(EXAMPLE)
    names = {container(pod)["envFrom"][0]["configMapRef"]["name"] for pod in pods(built).values()}
    assert names == {config["metadata"]["name"]}
    # And Redis is reached where it runs, and nowhere else
    redis = find(built, "NetworkPolicy", "topthree")["spec"]["egress"][1]
    assert redis["to"] and {6379, 26379} <= {each["port"] for each in redis["ports"]}


def test_settings_are_those_of_the_service() -> None:
    # Given what the base and the example set
    known = {field.upper() for field in Settings.model_fields}
    environ = settings(BASE) | settings(EXAMPLE)
    names = {name.removeprefix("TOPTHREE_") for name in environ}
    # Then the service knows and takes it, and nothing in a ConfigMap is a secret
    assert names <= known and Settings.from_environ(environ)
    assert all(Settings.model_fields[name.lower()].repr for name in names)
    # And the containers' own variables are settings, the secret ones from the Secret
    for pod in PODS.values():
        for name, value in variables(pod).items():
            secret = not Settings.model_fields[name.lower()].repr
            assert secret == isinstance(value, dict)
            assert not secret or (value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]) == ("topthree", name)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_more_rights_than_it_needs(name: str) -> None:
    pod, only = PODS[name]["spec"], container(PODS[name])
    assert pod["automountServiceAccountToken"] is False
    rights = pod["securityContext"]
    assert rights["runAsNonRoot"] and rights["seccompProfile"]["type"] == "RuntimeDefault"
    # As the images have it
    assert f"USER {rights['runAsUser']}:{rights['runAsGroup']}" in (ROOT / "worker/Dockerfile").read_text("utf-8")
    rights = only["securityContext"]
    assert rights["readOnlyRootFilesystem"] and rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    # And a place for temporary files that has a limit
    (volume,) = pod["volumes"]
    assert volume["emptyDir"]["sizeLimit"] and only["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]
    # And what it takes of a node has a limit
    assert only["resources"]["requests"].keys() == {"cpu", "memory"} and only["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_takes_part_only_in_connections_that_are_named(name: str) -> None:
    # Given a policy for all pods
    policy = find(OBJECTS, "NetworkPolicy", "topthree")["spec"]
    # Then it applies to this pod, in both directions
    selected = policy["podSelector"]["matchLabels"].items()
    assert selected <= PODS[name]["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in policy


def test_selectors_find_their_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in PODS.values()]
    for each in OBJECTS:
        spec = each.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= found.items() for found in labels), name_of(each)


def test_ports_are_those_on_which_the_processes_listen() -> None:
    ports = {name: container(pod).get("ports") for name, pod in PODS.items()}
    assert ports["topthree-api"] == [{"name": "http", "containerPort": Settings.model_fields["port"].default}]
    assert ports["topthree-worker"] == [{"name": "metrics", "containerPort": int(settings(BASE)["METRICS_PORT"])}]
    (served,) = find(OBJECTS, "Service", "topthree-api")["spec"]["ports"]
    assert served["targetPort"] == "http"
    (rule,) = find(OBJECTS, "Ingress", "topthree")["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "topthree-api", "port": {"name": served["name"]}}


def test_an_api_process_drains_before_it_is_killed() -> None:
    pod = PODS["topthree-api"]
    pause = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + DRAIN_SECONDS < pod["spec"]["terminationGracePeriodSeconds"]


def test_a_worker_finishes_its_jobs_before_it_is_killed() -> None:
    # Given the longest that a worker takes to stop: the job, and the time after which one that hangs ends itself
    defaults = Settings.from_environ({})
    longest = defaults.job_time_limit_seconds + max(STOP_MARGIN_SECONDS, defaults.consume_seconds)
    # Then it has that time, as in compose
    grace = PODS["topthree-worker"]["spec"]["terminationGracePeriodSeconds"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert longest < grace and compose["services"]["worker"]["stop_grace_period"] == f"{grace}s"


def test_a_worker_has_the_memory_that_its_jobs_may_use() -> None:
    pod = PODS["topthree-worker"]
    children = int(variables(pod)["WORKERS"])
    resources = container(pod)["resources"]
    assert quantity(resources["requests"]["cpu"]) == children
    jobs = children * Settings.from_environ({}).job_memory_bytes
    assert quantity(resources["limits"]["memory"]) >= jobs + quantity(resources["requests"]["memory"])


def test_workers_scale_by_the_age_of_the_oldest_job() -> None:
    # Given the rule
    scaling = find(OBJECTS, "ScaledObject", "topthree-worker")["spec"]
    age, running = scaling["triggers"]
    # Then it is about the workers' Deployment, which leaves the number to it
    workers = find(OBJECTS, "Deployment", scaling["scaleTargetRef"]["name"])
    assert "replicas" not in workers["spec"]
    assert 0 < scaling["minReplicaCount"] < scaling["maxReplicaCount"]
    # And reads metrics that the API has, at the API's address
    service = find(OBJECTS, "Service", "topthree-api")["metadata"]["name"]
    address = f"http://{service}.{kustomization(BASE)['namespace']}.svc.cluster.local/metrics"
    for trigger in (age, running):
        source = trigger["metadata"]
        assert (trigger["type"], source["url"], source["format"]) == ("metrics-api", address, "prometheus")
        assert source["valueLocation"] in documented()
        assert all(isinstance(value, str) for value in source.values())
    # And compares the age itself with the longest time of a job, and the running jobs with the children of a worker
    assert (age["metricType"], running["metricType"]) == ("Value", "AverageValue")
    assert float(age["metadata"]["targetValue"]) == Settings.from_environ({}).job_time_limit_seconds
    assert float(running["metadata"]["targetValue"]) < int(variables(PODS["topthree-worker"])["WORKERS"])
    # And KEDA may read it
    allowed = find(OBJECTS, "NetworkPolicy", "topthree-from-keda")["spec"]
    assert allowed["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "api"
