"""The guide for Kubernetes, as far as it needs no cluster: what its commands would send there."""

import re
import shlex
import shutil
from pathlib import Path

import yaml

from shared.settings import Settings
from tests.support.documentation import blocks
from tests.support.manifests import EXAMPLE, KUBERNETES, build, container, find, pods

PAGE = "docs/how-to/kubernetes.md"
NEEDED = ("--namespace", "topthree")


def commands() -> list[list[str]]:
    """Return the words of every command of the guide."""
    text = "".join(block.text for block in blocks() if block.page == PAGE and block.language == "sh")
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines()]


def test_the_commands_send_what_is_in_the_manifests() -> None:
    # Given what the example builds, of which the guide has a copy
    built = build(EXAMPLE)
    deployments = pods(built)
    assert ["cp", "-r", "deploy/kubernetes/example", "deploy/kubernetes/mine"] in commands()
    for words in commands():
        # When a command names files, Then they are there
        for path in [word for word in words if word.startswith("deploy/kubernetes/mine")]:
            assert (KUBERNETES / path.removeprefix("deploy/kubernetes/").replace("mine", "example", 1)).exists()
        # And when it names a Deployment, a container or an image, there is one
        for name in [word.removeprefix("deployment/") for word in words if word.startswith("deployment/")]:
            assert name in deployments and set(NEEDED) <= set(words)
            for image in [word.split("=", 1) for word in words if "=registry.example/" in word]:
                only = container(deployments[name])
                assert only["name"] == image[0]
                assert only["image"].rpartition(":")[0] == image[1].rpartition(":")[0]


def test_the_secret_has_what_the_pods_want() -> None:
    # Given the command that creates the Secret, and what the pods cannot do without
    (words,) = [words for words in commands() if words[1:4] == ["create", "secret", "generic"]]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    wanted = {
        source["valueFrom"]["secretKeyRef"]["key"]
        for pod in pods(build(EXAMPLE)).values()
        for source in container(pod)["env"]
        if "valueFrom" in source and not source["valueFrom"]["secretKeyRef"].get("optional")
    }
    # Then it has that, and the service can read it
    assert words[4] == "topthree" and set(NEEDED) <= set(words)
    assert given.keys() == wanted and Settings.from_environ(given)


def test_every_form_of_the_address_can_be_read() -> None:
    text = Path(KUBERNETES.parents[1] / PAGE).read_text("utf-8")
    urls = re.findall(r"`((?:rediss?|sentinel)://[^`]+)`", text)
    assert len(urls) == 2 and all(Settings.from_environ({"REDIS_URL": url}) for url in urls)


def test_with_api_keys_keda_gets_a_key(tmp_path: Path) -> None:
    # Given a copy of the example, with the file and the patch of the guide
    file, patch = [block.text for block in blocks() if block.page == PAGE and block.language == "yaml"]
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    mine = tmp_path / "kubernetes" / "example"
    (mine / "keda-key.yaml").write_text(file, "utf-8")
    changed = yaml.safe_load((mine / "kustomization.yaml").read_text("utf-8"))
    changed["resources"].append("keda-key.yaml")
    changed["patches"] += yaml.safe_load(patch)
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(changed), "utf-8")
    # When kustomize builds it
    built = build(mine)
    # Then every trigger sends a key that comes from the Secret
    key = find(built, "TriggerAuthentication", "topthree")
    assert key["spec"]["secretTargetRef"] == [{"parameter": "token", "name": "topthree", "key": "KEDA_KEY"}]
    for trigger in find(built, "ScaledObject", "topthree-worker")["spec"]["triggers"]:
        assert trigger["authenticationRef"] == {"name": key["metadata"]["name"]}
        assert trigger["metadata"]["authMode"] == "bearer"
