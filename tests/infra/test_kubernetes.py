"""infra/kubernetes: the kustomizations build, fit Kubernetes' own schemas, run what is there, and are shut in."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml
from tests.infra.product import ROOT, parse, variables

FOLDER = ROOT / "infra" / "kubernetes"
FOREIGN = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PodMonitor"}
TARGETS = ("base", "overlays/single-node", "overlays/production")
FILES = sorted(FOLDER.rglob("*.yaml"))
Resource = dict[str, Any]


@cache
def built(target: str) -> tuple[Resource, ...]:
    """What kustomize makes of a folder; skips where there is no kustomize."""
    tool = next((tool for tool in (["kustomize", "build"], ["kubectl", "kustomize"]) if shutil.which(tool[0])), None)
    if tool is None:
        pytest.skip("neither kustomize nor kubectl is installed on this machine")
    done = subprocess.run([*tool, str(FOLDER / target)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def written() -> list[Resource]:
    """Every resource as it stands in the files."""
    found = [one for file in FILES for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    return [one for one in found if one["kind"] != "Kustomization"]


def pods() -> list[tuple[str, Resource]]:
    """The pods of the files, by the name of what makes them."""
    return [
        (one["metadata"]["name"], one["spec"]["template"]["spec"])
        for one in written()
        if "template" in one.get("spec", {})
    ]


def ours() -> list[tuple[str, Resource, Resource]]:
    """Our pods, each with its container."""
    return [(name, pod, pod["containers"][0]) for name, pod in pods() if pod["containers"][0]["image"] == "taximeter"]


def test_every_command_and_variable_is_one_of_the_product() -> None:
    """Arguments parse; every variable of a container, of the generated ConfigMaps and of the secrets is known."""
    assert {name for name, _, _ in ours()} == {
        f"taximeter-{name}"
        for name in ("sink", "aggregator", "quota", "quota-alerts", "billing", "api", "topics", "migrate")
    }
    for name, _, container in ours():
        parse(container["args"])
        assert {one["name"] for one in container.get("env", ())} - {"POD_NAME"} <= variables(), name
    for file in FOLDER.rglob("kustomization.yaml"):
        for made in yaml.safe_load(file.read_text()).get("configMapGenerator", ()):
            assert {one.split("=")[0] for one in made.get("literals", ())} <= variables(), file
    alerts = next(one for one in written() if one["metadata"]["name"] == "taximeter-alerts")
    assert set(alerts["stringData"]) <= variables()


def test_our_pods_are_shut_in() -> None:
    """Not root, no token, read-only root, no capabilities, seccomp; with requests and a bound of memory."""
    for name, pod, container in ours():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} == set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name


def test_secrets_that_pods_ask_for_are_in_the_example() -> None:
    """Each key of each secret is shown in secrets.example.yaml."""
    shown = {one["metadata"]["name"]: set(one["stringData"]) for one in written() if one["kind"] == "Secret"}
    for resource in built("overlays/production"):
        for container in resource.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
            for one in container.get("env", ()):
                wanted = one.get("valueFrom", {}).get("secretKeyRef")
                assert wanted is None or wanted["key"] in shown[wanted["name"]]


def test_the_users_of_the_single_node_are_those_of_production() -> None:
    """Kustomize reads no file above its folder, so there is a copy; it must be one."""
    copy = FOLDER / "overlays" / "single-node" / "taximeter.xml"
    assert copy.read_text() == (ROOT / "infra" / "clickhouse" / "users.d" / "taximeter.xml").read_text()


def test_selectors_find_their_pods() -> None:
    """Services, budgets, monitors and network policies select labels that pods have."""
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in written() if "template" in one.get("spec", {})]
    for one in written():
        if one["kind"] in {"Service", "PodDisruptionBudget", "NetworkPolicy"}:
            selector = one["spec"].get("selector") or one["spec"].get("podSelector")
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= found.items() for found in labels), one["metadata"]["name"]


def test_the_sink_is_never_scaled_past_the_partitions() -> None:
    """More sinks than partitions would have nothing to do."""
    made = built("overlays/production")
    scaled = next(one for one in made if one["kind"] == "ScaledObject")
    settings = next(one for one in made if one["kind"] == "ConfigMap")["data"]
    assert scaled["spec"]["maxReplicaCount"] <= int(settings["TAXIMETER_TOPIC_PARTITIONS"])
    assert scaled["spec"]["scaleTargetRef"]["name"] == "taximeter-sink"


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_built_fits_the_schemas_of_kubernetes(target: str) -> None:
    """Strictly: a field that Kubernetes does not know is an error. What operators add has schemas of its own."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for one in built(target):
        if one["kind"] not in FOREIGN:
            validate.validate(one, "1.34", strict=True)
