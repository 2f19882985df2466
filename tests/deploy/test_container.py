"""The files of the container name what exists, and agree with each other and with the settings."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tenuto.cli.commands import SUMMARIES
from tenuto.settings import ServerSettings, Settings, load
from tests.deploy.expressions import DEPLOY
from tests.deploy.programs import promtool

ROOT = DEPLOY.parent
DOCKERFILE = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text()))
BUILD, FINAL = DOCKERFILE.split("\nFROM ")[1:]
NGINX = (DEPLOY / "nginx" / "tenuto.conf").read_text()


def parsed(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def lines(stage: str, instruction: str) -> list[str]:
    """Return the arguments of each line of a stage with this instruction."""
    return re.findall(rf"(?m)^{instruction} (.*)$", stage)


COMPOSE = parsed(DEPLOY / "compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.fixture
def settings() -> Settings:
    return load(DEPLOY / "settings" / "tenuto.toml")


def mounts(service: str) -> dict[str, str]:
    """Return the places in a service of the files that are mounted there."""
    pairs = (mount.split(":") for mount in SERVICES[service]["volumes"])
    return {source: target for source, target, *_ in pairs}


def seconds(setting: str, text: str) -> int:
    found = re.search(rf"\b{setting} (\d+)s;", text)
    assert found, setting
    return int(found[1])


def test_image_is_built_of_existing_files_only() -> None:
    sources = [part for line in lines(BUILD, "COPY") for part in line.split()[:-1]]
    admitted = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if "!" in line
    }
    assert set(sources) == admitted
    assert all((ROOT / source).exists() for source in sources)


def test_image_runs_commands_of_tenuto_as_a_numeric_user() -> None:
    (user,) = lines(FINAL, "USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    (entry,), (default,) = lines(FINAL, "ENTRYPOINT"), lines(FINAL, "CMD")
    program, health = json.loads(re.sub(r".* CMD ", "", lines(FINAL, "HEALTHCHECK")[0]))
    assert [program] == json.loads(entry) == ["tenuto"]
    assert health == "health"
    assert {health, *json.loads(default)} <= SUMMARIES.keys()
    assert "start-period" in FINAL


def test_image_keeps_the_state_in_its_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    (volume,) = lines(FINAL, "VOLUME")
    variables = dict(re.findall(r"(\w+)=(\S+)", lines(FINAL, "ENV")[0]))
    assert f"{variables['XDG_STATE_HOME']}/tenuto" == volume == variables["HOME"]
    assert variables["XDG_CACHE_HOME"].startswith(volume)
    for name, value in variables.items():
        if name.startswith("TENUTO_"):
            monkeypatch.setenv(name, value)
    assert load(None).server.host == "0.0.0.0"
    assert lines(FINAL, "EXPOSE") == [str(ServerSettings().port)]


def test_base_has_a_supported_python() -> None:
    found = re.search(r"^ARG BASE=python:3\.(\d+)-slim$", DOCKERFILE, re.MULTILINE)
    assert found
    project = (ROOT / "pyproject.toml").read_text()
    assert f'"Programming Language :: Python :: 3.{found[1]}"' in project


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_confined(service: str) -> None:
    terms = SERVICES[service]
    assert terms["read_only"] is True
    assert terms["cap_drop"] == ["ALL"]
    assert terms["security_opt"] == ["no-new-privileges:true"]
    assert terms["mem_limit"]
    assert "privileged" not in terms
    assert ":latest" not in terms["image"]
    assert ":" in terms["image"] or "build" in terms


@pytest.mark.parametrize("service", SERVICES)
def test_service_mounts_existing_files_read_only(service: str) -> None:
    for mount in SERVICES[service]["volumes"]:
        source, _, *mode = mount.split(":")
        if not source.startswith("."):
            assert source in COMPOSE["volumes"]
            continue
        assert mode == ["ro"]
        assert source.startswith("./secrets/") or (DEPLOY / source).exists(), source
    for secret in SERVICES[service].get("secrets", []):
        assert COMPOSE["secrets"][secret]["file"] == f"./secrets/{secret}"


def test_secrets_reach_neither_git_nor_the_image() -> None:
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_compose_gives_the_image_its_settings_and_time_to_stop(settings: Settings) -> None:
    server = settings.server
    tenuto = SERVICES["tenuto"]
    assert mounts("tenuto")["./settings"] == lines(FINAL, "WORKDIR")[0]
    assert mounts("tenuto")["tenuto"] == lines(FINAL, "VOLUME")[0]
    assert tenuto["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
    grace = int(tenuto["stop_grace_period"].removesuffix("s"))
    assert grace >= server.drain_delay_s + server.shutdown_grace_s + 30
    assert "ports" not in tenuto  # nginx alone is public


def test_nginx_and_tenuto_have_the_same_addresses(settings: Settings) -> None:
    address = SERVICES["tenuto"]["networks"]["inside"]["ipv4_address"]
    assert (
        f"server {address}:{settings.server.port};" in (DEPLOY / "nginx/compose.conf").read_text()
    )
    assert f"server 127.0.0.1:{ServerSettings().port};" in (DEPLOY / "nginx/local.conf").read_text()
    trusted = SERVICES["nginx"]["networks"]["inside"]["ipv4_address"]
    assert settings.server.trusted_proxies == (trusted,)
    (port,) = SERVICES["nginx"]["ports"]
    assert re.findall(r"listen (\d+)", NGINX) == [port.split(":")[1]]
    included = re.search(r"include (\S+);", NGINX)
    assert included
    assert mounts("nginx")["./nginx/compose.conf"] == included[1]
    assert NGINX.count(mounts("nginx")["./secrets/tls"] + "/") >= 2


def test_nginx_waits_longer_than_tenuto_is_silent(settings: Settings) -> None:
    assert seconds("proxy_read_timeout", NGINX) > settings.server.ping_interval_s
    assert seconds("client_body_timeout", NGINX) >= settings.limits.body_timeout_s
    for name in ("local.conf", "compose.conf"):
        text = (DEPLOY / "nginx" / name).read_text()
        assert seconds("keepalive_timeout", text) < settings.server.keep_alive_s


def test_prometheus_finds_tenuto_its_key_and_the_alerts(settings: Settings) -> None:
    configuration = parsed(DEPLOY / "prometheus" / "prometheus.yml")
    placed = mounts("prometheus")
    assert configuration["rule_files"] == [placed["./prometheus/alerts.yml"]]
    assert (
        f"--config.file={placed['./prometheus/prometheus.yml']}"
        in SERVICES["prometheus"]["command"]
    )
    (job,) = configuration["scrape_configs"]
    assert job["job_name"] == "tenuto"  # as the alerts expect
    assert job["static_configs"] == [{"targets": [f"tenuto:{settings.server.port}"]}]
    assert job["authorization"] == {"credentials_file": "/run/secrets/metrics_key"}
    assert SERVICES["prometheus"]["secrets"] == ["metrics_key"]


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("/etc/prometheus/", f"{DEPLOY}/prometheus/")
    (tmp_path / "prometheus.yml").write_text(
        text.replace("/run/secrets/metrics_key", str(tmp_path / "key"))
    )
    command = [promtool(), "check", "config", str(tmp_path / "prometheus.yml")]
    output = subprocess.run(command, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    assert re.search(r"\b[1-9]\d* rules found", output.stdout)


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = parsed(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = parsed(provisioning / "dashboards" / "tenuto.yml")["providers"]
    placed = mounts("grafana")["./grafana/tenuto.json"]
    assert placed == provider["options"]["path"] + "/tenuto.json"
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == placed
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["grafana"]["ports"])
