"""The objects of deploy/kubernetes, as the files have them and as kustomize builds them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.needs import skip_outside_ci
from tests.support.repository import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE, EXAMPLE = KUBERNETES / "base", KUBERNETES / "example"
Manifest = dict[str, Any]


def read_objects(folder: Path) -> list[Manifest]:
    """Return the objects of a folder's resources, and of the folders among them; OSError if a file is missing."""
    return list(_objects(folder))


def kustomization(folder: Path) -> Manifest:
    """Return the kustomization of a folder."""
    return dict(yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8")))


def build(folder: Path) -> list[Manifest]:
    """Return what `kubectl kustomize` makes of a folder."""
    kubectl = shutil.which("kubectl") or skip_outside_ci("needs kubectl, which has kustomize")
    output = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    return list(yaml.safe_load_all(output.stdout))


def settings(folder: Path) -> dict[str, str]:
    """Return the settings that a folder adds to the ConfigMap."""
    (generator,) = kustomization(folder)["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def find(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one object of this kind and name."""
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods(objects: list[Manifest]) -> dict[str, Manifest]:
    """Return the pod templates of all Deployments by the Deployments' names."""
    return {each["metadata"]["name"]: each["spec"]["template"] for each in objects if each["kind"] == "Deployment"}


def container(pod: Manifest) -> Manifest:
    """Return the only container of a pod."""
    (only,) = pod["spec"]["containers"]
    return dict(only)


def variables(pod: Manifest) -> dict[str, Any]:
    """Return the `env` of a pod's container: for each name its value, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(pod)["env"]}


def quantity(text: str) -> float:
    """Return a number of Kubernetes, such as 500m or 512Mi, in CPUs or bytes."""
    units = {"m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * (units[unit] if unit else 1)


def _objects(folder: Path) -> Iterator[Manifest]:
    for name in kustomization(folder)["resources"]:
        if (folder / name).is_dir():
            yield from _objects(folder / name)
        else:
            yield from yaml.safe_load_all((folder / name).read_text("utf-8"))
