"""README and docs are correct: their SQL runs, their commands and settings exist, their links have a target."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import psycopg
import pytest
import typer
from support.events import an_event, outcomes, send
from support.repository import REPOSITORY
from support.servers import execute

from centralcloud.administration.grants import Login, login_script
from centralcloud.cli.app import app as centralcloud
from centralcloud.contracts import parse_routing_event
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import variables_of
from centralcloud.settings import Settings
from instance_agent import AgentSettings
from instance_agent.cli.app import app as instance_agent
from instance_agent.settings import ClientSettings, GatewaySettings
from instance_agent.spend.refusal import RefusalCode

_PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return [
        block
        for page in _PAGES
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]


def test_every_statement_runs(database: Database, database_url: str) -> None:
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=1000)
    Learner(database, Settings().rules).learn()
    statements = blocks("sql")
    assert len(statements) > 6
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]
    assert execute(database_url, "SELECT instance_id FROM instances") == [("singularity-1",)]
    assert drain(database, batch_size=1000).result == (6, 0, 0), "the events in README and docs are valid"


def _documented_grants() -> list[str]:
    """Return the statements of the page that creates a login, each on one line."""
    page = (REPOSITORY / "docs/how-to/connect-an-instance.md").read_text()
    (block,) = re.findall(r"^```\n(CREATE ROLE .*?)^```", page, re.DOTALL | re.MULTILINE)
    return [" ".join(statement.split()) for statement in block.split(";") if statement.strip()]


def test_the_how_to_shows_the_statements_that_grants_runs_for_an_instance() -> None:
    script = " ".join(login_script(Login("centralcloud_instance_node-1", "node-1", "centralcloud_instance")).split())
    shown = _documented_grants()
    assert len(shown) == 6
    assert [statement for statement in shown if f"{statement};" not in script] == []
    assert sum(statement.startswith("GRANT") for statement in shown) == len(re.findall(r"(?<!')GRANT [^']*?;", script))


def test_the_role_of_the_how_to_has_these_rights_and_no_others(database: Database, database_url: str) -> None:
    role = "cc_documented_instance"
    grants = [statement for statement in _documented_grants() if statement.endswith('TO "centralcloud_instances"')]
    try:
        execute(database_url, f"CREATE ROLE {role}")
        for statement in grants:
            execute(database_url, statement.replace('"centralcloud_instances"', role))
        with psycopg.connect(database_url) as connection:
            connection.execute(f"SET ROLE {role}")
            connection.execute("SELECT centralcloud.publish_decision(%s)", (json.dumps(an_event()),))
            connection.execute("SELECT * FROM centralcloud.score_updates_since(0)")
            connection.execute("SELECT * FROM centralcloud.current_scores()")
            connection.execute("SELECT centralcloud.acknowledge('i', 0), centralcloud.epoch()")
            connection.commit()
            for forbidden in (
                "SELECT * FROM routing_records",
                "SELECT * FROM pgmq.q_model_routing_decisions",
                "SELECT pgmq.pop('model_routing_decisions', 1)",
                "UPDATE model_scores SET score = 5",
                "SELECT centralcloud.ensure_partitions(1)",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(forbidden)
                connection.rollback()
    finally:
        execute(database_url, f"DROP OWNED BY {role}")
        execute(database_url, f"DROP ROLE {role}")


@pytest.mark.parametrize("arguments", [("", 0), ("a" * 201, 0), (None, 0), ("i", -1), ("i", None)])
def test_an_invalid_acknowledgement_is_rejected(database_url: str, arguments: tuple) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"found .*, expected"):
        execute(database_url, "SELECT centralcloud.acknowledge(%s, %s)", arguments)


def test_the_events_of_the_pages_are_valid() -> None:
    for block in blocks("json"):
        event = parse_routing_event(block, datetime(2026, 11, 20, 12, tzinfo=UTC))
        assert event.decision_id is not None
        assert event.extra == {}


def test_every_command_and_option_on_a_page_exists() -> None:
    shown = {
        (program, *words.split(), option)
        for page in _PAGES
        for program, words, rest in re.findall(
            r"\b(centralcloud|instance-agent) "
            r"((?:classifier |dashboard-users |dead-letters |experiments |instances |keys |models |settings |configuration "
            r"|endpoints |rules |policies |tasks |agents |workspaces |budgets |queue (?=purge)"
            r"|scores (?=explain|history|rollback|pin|unpin))?"
            r"[a-z][a-z-]*)\b"
            r"([^\n|`#]*)",
            page.read_text(),
        )
        for option in [None, *re.findall(r"(--[a-z-]+)", rest)]
    }
    known = dict([*_options(("centralcloud",), centralcloud), *_options(("instance-agent",), instance_agent)])
    for *command, option in shown:
        if tuple(command) in known and option:
            assert option in known[tuple(command)], f"{command} {option}"
    prose = {command[1] for *command, _ in shown if tuple(command) not in known}
    assert prose <= {"learns", "takes", "library", "commands", "or"}, prose


def _options(path: tuple[str, ...], app: typer.Typer) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield every command of a program with its options."""
    commands = [(path, typer.main.get_command(app))]
    while commands:
        path, command = commands.pop()
        yield path, {"--help", *(name for parameter in command.params for name in parameter.opts)}
        commands += [((*path, name), each) for name, each in getattr(command, "commands", {}).items()]


def test_every_guarantee_has_a_test_and_every_chaos_test_is_a_guarantee() -> None:
    page = (REPOSITORY / "docs/explanation/reliability.md").read_text()
    promised = re.findall(r"\| `(test_\w+)` \|$", page, re.MULTILINE)
    shown = [
        name
        for module in (REPOSITORY / "tests/chaos").glob("test_*.py")
        if module.name != "test_soak.py"
        for name in re.findall(r"^def (test_\w+)", module.read_text(), re.MULTILINE)
    ]
    assert sorted(promised) == sorted(shown)


@pytest.mark.parametrize(
    ("title", "settings_class"), [("Daemon", Settings), ("Instance", AgentSettings), ("Dashboard", DashboardSettings)]
)
def test_the_tables_of_settings_match_the_code(title: str, settings_class: type) -> None:
    text = (REPOSITORY / "docs/reference/settings.md").read_text()
    section = text.split(f"## {title}")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", section, re.MULTILINE))
    in_code = {
        variable: "" if default is None else str(default).lower()
        for variable, default in variables_of(settings_class).items()
    }
    for variable in ("INSTANCE_ID", "INSTANCE_AGENT_STATE_DIR"):  # their defaults are computed
        in_code.pop(variable, None)
        documented.pop(variable, None)
    assert {name: value.lower() for name, value in documented.items()} == in_code


@pytest.mark.parametrize(("title", "settings_class"), [("Client", ClientSettings), ("Gateway", GatewaySettings)])
def test_the_tables_of_further_settings_match_the_code(title: str, settings_class: type) -> None:
    section = (REPOSITORY / "docs/reference/settings.md").read_text().split(f"\n## {title}")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", section, re.MULTILINE))
    shared = variables_of(AgentSettings)
    in_code = {
        variable: "" if default is None else str(default)
        for variable, default in variables_of(settings_class).items()
        if variable not in shared
    }
    assert {name: value.lower() for name, value in documented.items()} == {
        name: value.lower() for name, value in in_code.items()
    }


def test_every_log_event_is_documented_with_its_level() -> None:
    page = (REPOSITORY / "docs/reference/logs.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE))
    sources = [path for package in ("centralcloud", "instance_agent") for path in (REPOSITORY / package).rglob("*.py")]
    logged = {
        (event, level)
        for path in sources
        for level, event in re.findall(r"\blog\.(debug|info|warning|error)\(\s*\"(\w+)\"", path.read_text())
    }
    assert documented == logged - {("event_name", "info")}, "event_name is the example of a docstring"


def test_every_code_of_an_error_and_of_a_target_is_documented() -> None:
    code = re.compile(r"\bcode(?:: \w+)? ?= ?\"(\w+)\"")
    sources = [path.read_text() for path in (REPOSITORY / "instance_agent").rglob("*.py")]
    used = {name for text in sources for name in code.findall(text)} | set(get_args(RefusalCode))
    assert len(used) > 40
    pages = "".join(page.read_text() for page in _PAGES)
    assert {name for name in used if f"`{name}`" not in pages} == set()


def test_links_lead_to_existing_pages_and_headings() -> None:
    for page in _PAGES:
        for target, heading in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", page.read_text()):
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name}: {target}"
            assert not heading or heading in _headings(linked), f"{page.name}: {target}#{heading}"


def _headings(page: Path) -> set[str]:
    """Return the headings of a page in the form that links use."""
    titles = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_pages_and_sections_that_the_code_cites_exist() -> None:
    cited = {
        (page, " ".join(section.split()))
        for folder in (
            "benchmarks",
            "centralcloud",
            "deploy",
            "examples",
            "instance_agent",
            "migrations",
            "tests",
            "tools",
        )
        for path in (REPOSITORY / folder).rglob("*.*")
        if path.suffix in {".env", ".ex", ".py", ".service", ".sql", ".toml", ".yaml", ".yml"}
        for page, section in re.findall(r"(docs/[\w/-]+\.md)(?:, section ([A-Z][\w\s]*))?", path.read_text())
    }
    assert len(cited) > 10
    for page, section in cited:
        assert (REPOSITORY / page).exists(), page
        assert not section or section in _sections(REPOSITORY / page), f"{page}, section {section}"


def _sections(page: Path) -> set[str]:
    return set(re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE))


def test_every_page_is_in_the_index() -> None:
    index = REPOSITORY / "docs/README.md"
    listed = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index.read_text())}
    pages = {page for page in _PAGES if page.is_relative_to(index.parent) and page != index}
    assert pages <= listed, sorted(str(page.relative_to(index.parent)) for page in pages - listed)
