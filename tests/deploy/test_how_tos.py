"""The deployment how-tos: the files and units that their commands name exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from support.repository import REPOSITORY

from centralcloud.store.tables import metadata
from instance_agent.catalog.catalog_file import built_in_entries
from instance_agent.gateway.app import MAX_BODY_BYTES
from instance_agent.providers.presets import PRESETS
from instance_agent.providers.upstream import Limits
from instance_agent.settings import GatewaySettings

_PAGES = sorted((REPOSITORY / "docs/how-to").glob("deploy-with-*.md"))


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_files_that_its_commands_name_exist(page: Path) -> None:
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
    made_by_the_reader = (
        "deploy/docker/.env",
        "deploy/docker/dashboard",
        "deploy/kubernetes/overlays/mine",
        "deploy/kubernetes/overlays/my-gateway",
        "deploy/kubernetes/overlays/my-dashboard",
    )
    named = set(re.findall(r"(?<![\w/])(?:deploy|examples)/[\w./*@-]+", commands))
    assert named
    for path in named:
        assert path.startswith(made_by_the_reader) or list(REPOSITORY.glob(path)), path


def test_each_is_linked_from_both_indexes() -> None:
    assert len(_PAGES) == 3
    for listed_in, prefix in (("README.md", "docs/how-to/"), ("docs/README.md", "how-to/")):
        text = (REPOSITORY / listed_in).read_text()
        assert all(f"({prefix}{page.name})" in text for page in _PAGES)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_each_starts_the_gateway_with_a_rule_that_probes_and_shows_its_logs(page: Path) -> None:
    section = page.read_text().split("\n## The gateway\n")[1].split("\n## ")[0]
    assert "centralcloud settings set rule adaptive" in section
    assert "daemon" in section
    assert re.search(r"journalctl -u 'instance-agent-gateway|logs .*gateway", section)


def test_no_command_of_kubernetes_uses_a_file_that_an_earlier_one_has_removed() -> None:
    made: set[str] = set()
    for line in _commands("docs/how-to/deploy-with-kubernetes.md"):
        removed = re.findall(r"\S+", line[3:]) if line.startswith("rm ") else []
        for file in (
            "owner-url", "worker-url", "gateway-url", "configurator-url", "provider-keys.env", "first-key", "dashboard-url",
            "operator-url", "dashboard-users", "ada.password",
        ):  # fmt: skip
            if re.search(rf"(> |vi\S* .*|cp .*\.env |--file )\b{file}\b", line):
                made.add(file)
            elif re.search(rf"(=|^rm .*){file}\b", line):
                assert file in made, line
        made -= set(removed)
    assert not made, "each file with a password is removed"


def _commands(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / page).read_text(), re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_commands_of_systemd_name_units_that_exist() -> None:
    text = (REPOSITORY / "docs/how-to/deploy-with-systemd.md").read_text()
    named = set(re.findall(r"systemctl (?:start|restart|status|enable --now) ([\w@-]+)", text))
    units = {file.stem for file in (REPOSITORY / "deploy/systemd").glob("*.service")}
    assert {f"{name.split('@')[0]}@" if "@" in name else name for name in named} == units


def test_commands_for_root_that_the_page_of_systemd_names_are_installed() -> None:
    text = (REPOSITORY / "docs/how-to/deploy-with-systemd.md").read_text()
    scripts = {file.name for file in (REPOSITORY / "deploy/systemd/bin").iterdir()}
    assert "install -m 0755 deploy/systemd/bin/* /usr/local/sbin/" in text
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert set(re.findall(r"^(centralcloud\S*|instance-agent\S*) ", blocks, re.MULTILINE)) == scripts
    assert all((REPOSITORY / "deploy/systemd/bin" / name).stat().st_mode & 0o111 for name in scripts)


@pytest.mark.parametrize("page", [*_PAGES, REPOSITORY / "docs/how-to/upgrade.md"], ids=lambda page: page.stem)
def test_no_page_installs_the_sources_or_runs_the_daemon_as_the_owner(page: Path) -> None:
    text = page.read_text()
    assert "--editable" not in text
    assert not re.search(r"pip install [^\n]* \.$", text, re.MULTILINE)
    assert not re.search(r"centralcloud_owner:[^\n]* centralcloud run", text)


def test_every_url_of_another_machine_checks_the_certificate_of_the_server() -> None:
    pages = [*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "SECURITY.md"]
    urls = [url for page in pages for url in re.findall(r"@db\.example\.org/[^\s'\"`)]*", page.read_text())]
    assert len(urls) >= 5
    assert [url for url in urls if not url.endswith("?sslmode=verify-full&sslrootcert=system")] == []


def _block(page: str, part: str) -> str:
    text = (REPOSITORY / page).read_text()
    (block,) = [each for each in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if part in each]
    return block


def test_the_commands_of_the_upgrade_page_find_files_that_have_changed(tmp_path: Path) -> None:
    units, commands, settings = (tmp_path / name for name in ("units", "sbin", "centralcloud"))
    shutil.copytree(REPOSITORY / "deploy/systemd/bin", commands)
    units.mkdir()
    for unit in (REPOSITORY / "deploy/systemd").glob("*.service"):
        shutil.copy(unit, units)
    settings.mkdir()
    (settings / "owner-database-url").touch()
    compare = "\n".join(line for line in _block("docs/how-to/upgrade.md", "pg_dump").splitlines() if "diff" in line)
    lacking = _block("docs/how-to/upgrade.md", "LoadCredential")

    def printed(script: str) -> str:
        for path, here in (
            ("/usr/local/sbin", commands), ("/etc/systemd/system", units), ("/etc/centralcloud", settings)
        ):  # fmt: skip
            script = script.replace(path, str(here))
        return subprocess.run(["bash", "-c", script], cwd=REPOSITORY, capture_output=True, text=True).stdout

    assert printed(compare.replace("Only in /usr", f"Only in {tmp_path}")) == ""
    (commands / "centralcloud").write_text("#!/bin/sh\n# of the old release\n")
    (units / "centralcloud.service").write_text("[Unit]\n# of the old release\n")
    assert printed(compare).count("# of the old release") == 2
    # The names are those of the units: only the folder of the files that exist is another one.
    needed = lacking.replace('"$file" ]', f'"{settings}/${{file##*/}}" ]')
    result = subprocess.run(["bash", "-c", needed], cwd=REPOSITORY, capture_output=True, text=True).stdout
    assert sorted(result.splitlines()) == [
        "/etc/centralcloud/dashboard-database-url",
        "/etc/centralcloud/gateway-database-url",
        "/etc/centralcloud/instance-agent-%i-database-url",
        "/etc/centralcloud/provider-keys.env",
        "/etc/centralcloud/worker-database-url",
    ]


def test_the_commands_of_kubectl_that_create_secrets_are_well_formed(kubectl: str, tmp_path: Path) -> None:
    text = (REPOSITORY / "docs/how-to/deploy-with-kubernetes.md").read_text()
    commands = re.findall(r"^kubectl (create secret generic .*)$", text, re.MULTILINE)
    assert len(commands) == 9
    made = {}
    for command in commands:
        for file in re.findall(r"--from-file=(?:\w+=)?(\S+)", command):
            (tmp_path / file).write_text("x")
        run = subprocess.run(
            [kubectl, *command.split(), "--dry-run=client", "--output=yaml"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        secret = yaml.safe_load(run.stdout)
        made[secret["metadata"]["name"]] = set(secret["data"])
    mounted = set()
    for file in [
        *(REPOSITORY / "deploy/kubernetes/base").glob("*"),
        *(REPOSITORY / "deploy/kubernetes/gateway").glob("*"),
        *(REPOSITORY / "deploy/kubernetes/dashboard").glob("*"),
    ]:
        mounted |= set(re.findall(r"secretName: ([\w-]+)", file.read_text()))
    assert made.keys() == mounted
    assert made["centralcloud-gateway-first-key"] == {"key"}
    assert made["centralcloud-gateway-providers"] == {"provider-keys.env"}
    assert made["centralcloud-dashboard-users"] == {"users"}
    assert made["centralcloud-operator"] == {"url"}


def test_the_page_of_the_gateway_has_every_alert_and_the_limits_of_the_code() -> None:
    page = (REPOSITORY / "docs/how-to/operate-the-gateway.md").read_text()
    rules = yaml.safe_load((REPOSITORY / "deploy/prometheus/centralcloud.rules.yml").read_text())["groups"]
    (alerts,) = [group["rules"] for group in rules if group["name"] == "centralcloud-gateway"]
    assert set(re.findall(r"`(Gateway\w+)`", page)) == {rule["alert"] for rule in alerts}
    cell = dict(re.findall(r"^\| ([\w ]+?) \| ([^|]+) \|", page, re.MULTILINE))
    local_providers = [each.provider for each in built_in_entries().providers if each.local]
    assert len(local_providers) == 2
    usual, (local,) = Limits(), {PRESETS[name].limits for name in local_providers}
    assert cell["connection to a provider"] == f"{usual.connect:g} s; local ones {local.connect:g} s"
    assert cell["first byte of an answer"] == f"{usual.first_byte:g} s; local ones {local.first_byte:g} s"
    assert cell["between two parts of a stream"] == f"{usual.idle:g} s; local ones {local.idle:g} s"
    assert cell["one call"] == f"{usual.total:g} s"
    assert cell["answer of a provider"] == f"{usual.max_answer_bytes >> 20} MiB"
    assert cell["body of a request"].startswith(f"{MAX_BODY_BYTES >> 20} MiB")
    fields = GatewaySettings.model_fields
    assert cell["all attempts of a request"].startswith(f"{fields['gateway_deadline_seconds'].default:g} s")
    assert cell["attempts of a request"] == str(fields["gateway_max_attempts"].default)
    assert cell["events on disk"] == f"{fields['spool_bytes'].default // 1_000_000} MB"


def test_the_pages_name_everything_that_the_dashboard_may_not_read() -> None:
    script = (REPOSITORY / "centralcloud/administration/sql/grant_dashboard.sql").read_text()
    hidden = {
        table: set(metadata.tables[table].columns.keys())
        - set(re.findall(r"\w+", re.search(rf"\(([^()]*)\) ON {table} TO", script)[1]))  # type: ignore[index]
        for table in ("routing_records", "dead_letters", "feedback", "usage_roll_ups")
    }
    assert hidden == {
        "routing_records": {"extra", "user_model_request", "session", "key_id", "user_id"},
        "dead_letters": {"message"},
        "feedback": {"comment", "user_id"},
        "usage_roll_ups": {"key_id"},
    }
    (whole,) = re.findall(r"GRANT SELECT ON\n(.*?)TO \{role\}", script, re.DOTALL)
    forbidden = metadata.tables.keys() - hidden.keys() - set(re.findall(r"\w+", whole))
    configuration = {"configuration_entries", "configuration_history"}
    events = {"database_generation", "decision_ids", "ignored_values", "instance_logins", "waiting_feedback"}
    classifiers = {"task_classifiers", "task_classifier_choices"}
    assert forbidden == {*events, *configuration, *classifiers, "experiment_sessions"}
    for page in ("docs/explanation/personal-data.md", "docs/how-to/least-privilege.md"):
        (row,) = re.findall(r"^\| `centralcloud_dashboard` \|.*$", (REPOSITORY / page).read_text(), re.MULTILINE)
        assert all(f"`{name}`" in row for name in {*forbidden, *set().union(*hidden.values())}), page


def test_pages_that_say_that_http_is_off_say_that_the_deployments_switch_it_on() -> None:
    found = 0
    for page in [*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "SECURITY.md"]:
        for paragraph in re.split(r"\n(?=- |\n|\|)", page.read_text()):
            if re.search(r"HTTP|/metrics", paragraph) and re.search(
                r"\boff\s+by\s+default|no HTTP server|open\s+none\s+unless|by\s+default\s+neither", paragraph
            ):
                found += 1
                assert re.search(r"deployments\s+(in|of)\s", paragraph), f"{page}: {paragraph}"
    assert found == 4
