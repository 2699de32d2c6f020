"""infra/docker-compose.yml: what it runs is there, what it publishes stays here, and the linters agree."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.infra.product import ROOT, parse, variables

from taximeter_infra.healthy import is_alive, main, place_of

FILE = ROOT / "infra" / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("taximeter")}
TEXT = FILE.read_text(encoding="utf-8")


def made_environment() -> dict[str, str]:
    """What infra/docker/new_env.py prints."""
    spec = importlib.util.spec_from_file_location("new_env", ROOT / "infra" / "docker" / "new_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(line.split("=", 1) for line in module.lines())


def test_every_command_and_variable_is_one_of_the_product() -> None:
    """Commands with their options parse, and every variable of a service is read by some settings."""
    assert {"topics", "migrate", "sink", "aggregator", "quota", "quota-alerts", "invoices", "api"} <= set(OURS)
    for name, service in OURS.items():
        if service["command"] != ["--help"]:
            parse(service["command"])
        assert set(service.get("environment", {})) <= variables(), name


def test_a_command_that_is_not_there_is_found_out() -> None:
    """The check itself sees a wrong command and a wrong option."""
    with pytest.raises(KeyError):
        parse(["sinkk"])
    with pytest.raises(Exception, match="No such option"):
        parse(["sink", "--no-such-option"])


def test_nothing_is_published_beyond_this_machine() -> None:
    """Every published port is bound to 127.0.0.1."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_our_services_are_shut_in() -> None:
    """Read-only root, no capabilities, no new privileges; those that stay have limits, and come back."""
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "no" or "limits" in service["deploy"]["resources"], name


def test_others_have_health_checks_limits_and_a_version() -> None:
    """Who is waited for says how it is; no image is the latest one."""
    for name, service in SERVICES.items():
        if name not in OURS and service["restart"] != "no":
            assert service["healthcheck"]["test"], name
            assert service["deploy"]["resources"]["limits"], name
            assert re.search(r":v?\d", service["image"]), name


def test_who_is_waited_for_is_there() -> None:
    """Conditions name services; one that is awaited healthy has a health check, one awaited at its end ends."""
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            awaited = SERVICES[name]
            if how["condition"] == "service_completed_successfully":
                assert awaited["restart"] == "no"
            else:
                assert "healthcheck" in awaited


def test_secrets_come_from_the_environment_and_all_are_made() -> None:
    """The file has none; what it asks for is made by new_env.py and named in .env.example, which has none."""
    asked = set(re.findall(r"\$\{(\w+)", TEXT))
    made = made_environment()
    example = dict(
        line.split("=", 1) for line in (FILE.parent / ".env.example").read_text().splitlines() if line[0] != "#"
    )
    assert asked <= set(made)
    assert set(made) == set(example)
    assert {value for name, value in example.items() if name != "COMPOSE_PROJECT_NAME"} == {""}
    assert not re.search(r"(?im)^ *\w*password\w*: *[^${\s]", TEXT)


def test_mounted_files_of_ours_are_there() -> None:
    """What is mounted out of infra/clickhouse exists. Grafana's and Prometheus's folders have tests of their own."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ()) if mount[0] == "."]
    for mount in mounts:
        source = mount.split(":")[0]
        assert source.startswith(("./grafana", "./prometheus")) or (FILE.parent / source).is_file(), source


@pytest.mark.parametrize("tool", [("docker", "compose"), ("docker-compose",)])
def test_compose_takes_the_file(tool: tuple[str, ...], tmp_path: Path) -> None:
    """`docker compose config`, where it is."""
    if shutil.which(tool[0]) is None or subprocess.run([*tool, "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{' '.join(tool)} is not installed on this machine")
    environment = tmp_path / ".env"
    environment.write_text("".join(f"{name}={value}\n" for name, value in made_environment().items()))
    command = [*tool, "--env-file", str(environment), "-f", str(FILE), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_image_is_small_and_not_root() -> None:
    """Two stages, the second with a numeric user and a health check; versions from constraints.txt."""
    text = (ROOT / "infra" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    last = text[text.rindex("\nFROM ") :]
    assert text.count("\nFROM ") == 2
    assert "--constraint constraints.txt" in text
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE)
    assert "apt-get" not in last
    assert "pip install" not in last
    healthy = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", last, re.MULTILINE)
    assert healthy is not None
    assert ast.literal_eval(healthy[1]) == ["python", "-m", "taximeter_infra.healthy"]
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())


def test_healthy_knows_the_role(tmp_path: Path) -> None:
    """The API and who serves metrics by a port, others by their process; a stopped one, or none, is not well."""
    api = ["python", "/opt/bin/taximeter", "api"]
    assert place_of([*api, "--host", "0.0.0.0", "--port=81"]) == ("127.0.0.1", 81)
    assert place_of([*api, "--host=10.0.0.5"]) == ("10.0.0.5", 8080)
    assert place_of(api) == place_of([*api, "--host", "::"]) == ("127.0.0.1", 8080)
    assert place_of(["taximeter", "sink"]) is None
    for place in ("0.0.0.0:9100", "[::]:9100", ":9100", "9100"):
        assert place_of(["taximeter", "sink", "--metrics", place]) == ("127.0.0.1", 9100)
    assert place_of(["taximeter", "sink", "--metrics=10.0.0.5:9100"]) == ("10.0.0.5", 9100)
    assert place_of(["taximeter", "sink", "--metrics", "[::1]:9100"]) == ("::1", 9100)
    assert place_of(["taximeter", "sink"], "10.0.0.5:9101") == ("10.0.0.5", 9101)
    (tmp_path / "cmdline").write_text("python\0taximeter\0sink\0")
    for state, code in (("S", 0), ("R", 0), ("T", 1), ("Z", 1)):
        (tmp_path / "stat").write_text(f"1 (taximeter (x)) {state} 0 1 1")
        assert main(tmp_path) == code
        assert is_alive(f"1 (x) {state} 0") == (code == 0)
    assert main(tmp_path / "nobody") == 1
