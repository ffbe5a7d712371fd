"""Check the alert rules and the scrape configuration with the tool of Prometheus, if it is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from support.metric_names import METRICS, NAMES

_needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is missing"
)


def _rules(deploy: Path) -> list[dict]:
    groups = yaml.safe_load((deploy / "prometheus/centralcloud.rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _promtool(*arguments: str, folder: Path) -> None:
    # Its garbage collector takes a fifth of its time, at little memory.
    env = {**os.environ, "GOGC": "400"}
    result = subprocess.run(["promtool", *arguments], cwd=folder, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@_needs_promtool
def test_prometheus_accepts_the_rules_and_the_configuration(deploy: Path) -> None:
    _promtool("check", "config", "prometheus.yml", folder=deploy / "prometheus")


@_needs_promtool
def test_alerts_fire_exactly_when_they_should(deploy: Path) -> None:
    _promtool("test", "rules", "centralcloud.rules.test.yml", folder=deploy / "prometheus")


def test_every_alert_has_a_test_that_fires_and_one_that_does_not(deploy: Path) -> None:
    tests = yaml.safe_load((deploy / "prometheus/centralcloud.rules.test.yml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    fires = {check["alertname"] for check in checks if check.get("exp_alerts")}
    stays_silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fires == stays_silent == {rule["alert"] for rule in _rules(deploy)}


def test_every_metric_of_the_rules_exists(deploy: Path) -> None:
    for rule in _rules(deploy):
        named = set(re.findall(NAMES, rule["expr"]))
        assert named, rule["alert"]
        assert named <= set(METRICS), rule["alert"]


def test_every_alert_has_an_urgency_and_an_action(deploy: Path) -> None:
    for rule in _rules(deploy):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description", "runbook"} == set(rule["annotations"])
        assert (deploy.parent / rule["annotations"]["runbook"]).exists(), rule["alert"]
