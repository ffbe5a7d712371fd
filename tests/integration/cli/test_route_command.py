"""`instance-agent catalog` and `route`: they need no database."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.commands import BIN, environment, run_command, summarize_error
from support.repository import REPOSITORY
from typer.testing import CliRunner

from centralcloud.contracts import Estimate
from instance_agent.catalog.catalog_file import built_in_entries, read_entries
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.cli.app import app as instance_agent


def test_the_catalog_and_a_route_need_no_database(catalog: dict[str, str]) -> None:
    effective = json.loads(run_command("instance-agent", "catalog", "--json", env=catalog).stdout)
    assert effective["version"] == 0
    assert [(model["name"], model["provider"]) for model in effective["models"]] == [
        ("gpt-4o", "openai"),
        ("llama", "local"),
    ]
    assert effective["models"][0]["complexity_scores"] == {"simple": 4.0, "medium": 4.0, "complex": 4.0}
    assert effective["models"][1]["learned"] == {}

    def route(*arguments: str) -> dict:
        result = run_command("instance-agent", "route", "--json", *arguments, env=catalog)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    assert route("--complexity", "simple")["model"] == "gpt-4o"
    assert route("--complexity", "simple", "--prefer", "speed")["model"] == "llama"
    assert route("--complexity", "simple", "--prefer", "cost")["model"] == "llama"
    seeing = route("--complexity", "simple", "--capability", "vision", "--prefer", "cost")
    assert (seeing["model"], [ranked["model"] for ranked in seeing["ranking"]]) == ("gpt-4o", ["gpt-4o"])
    blind = route("--complexity", "simple", "--capability", "vision", "--capability", "telepathy")
    assert (blind["model"], blind["fallback"]) == ("gpt-4o", "capabilities")
    assert route("--complexity", "complex", "--model", "llama")["model"] == "llama"
    table = run_command("instance-agent", "route", "--complexity", "simple", env=catalog)
    assert "best score for simple tasks" in table.stdout


def test_a_route_is_explained_model_by_model(catalog: dict[str, str]) -> None:
    learned = LearnedScores(epoch="e")
    for version, (mean, n_eff, probe_share) in enumerate(((0.9, 100.0, 0.0), (0.85, 20.0, 0.01)), start=1):
        score = LearnedScore(
            score=5 * (mean - 0.02),
            version=version,
            at=datetime(2026, 11, 20, tzinfo=UTC),
            estimate=Estimate(mean=mean, n_eff=n_eff, probe_share=probe_share),
        )
        learned = learned.with_score((("gpt-4o", "llama")[version - 1], "simple"), score)
    LearnedScoresFile(Path(catalog["INSTANCE_AGENT_STATE_DIR"])).write(learned)

    def route(*arguments: str, **env: str) -> str:
        result = run_command("instance-agent", "route", "--complexity", "simple", *arguments, env=catalog | env)
        assert result.returncode == 0, result.stderr
        return result.stdout

    drawn = json.loads(route("--json", "--explain", "--seed", "4"))
    assert drawn == json.loads(route("--json", "--explain", "--seed", "4"))
    assert (drawn["method"], drawn["kind"]) == ("thompson", "best")
    gpt, llama = drawn["ranking"]
    assert (gpt["mean"], gpt["n_eff"], gpt["penalty"], gpt["probe_share"]) == (0.9, 100, 0.02, 0)
    assert llama["propensity"] == pytest.approx(0.01 + 0.99 * llama["win_probability"])
    assert gpt["propensity"] + llama["propensity"] == pytest.approx(1)
    exploring = json.loads(route("--json", "--explain", INSTANCE_AGENT_EXPLORATION="0.5"))["ranking"][1]
    assert exploring["propensity"] == pytest.approx(0.25 + 0.5 * llama["propensity"])
    choice = json.loads(route("--json"))
    assert (choice["selection"], choice["probe"]) == ("thompson", False)
    assert "comes with an estimate" in choice["selection_reason"]
    greedy = json.loads(route("--json", INSTANCE_AGENT_SELECTION="greedy"))
    assert (greedy["selection"], greedy["ranking"][0]["propensity"]) == ("greedy", 0.99)
    assert greedy["selection_reason"] == "set by INSTANCE_AGENT_SELECTION"
    table = route("--explain")
    for words in ("(thompson)", "1. ", "2. ", "n_eff", "win_probability", "1.00%"):
        assert words in table
    assert "win_probability" not in route()


def test_a_plan_is_explained_for_a_prompt_and_hints_without_a_key(tmp_path: Path) -> None:
    """The keys of providers are those of the gateway, not of the shell; --available asks for them here."""
    catalog = REPOSITORY / "examples/catalog.yaml"
    env = environment(INSTANCE_AGENT_STATE_DIR=str(tmp_path), OPENAI_API_KEY="sk-test")

    def route(*arguments: str, prompt: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"{BIN}/instance-agent", "route", "--explain", f"--catalog={catalog}", *arguments],
            env=env, input=prompt, capture_output=True, text=True, check=False,
        )  # fmt: skip

    plan = json.loads(
        route("-", "--json", "--task-type", "coding", "--capability", "vision", prompt="Sort a list.\n").stdout
    )
    assert plan["task"] | {"reasons": []} == {
        "type": "coding", "typeFrom": "header", "level": "simple", "complexity": plan["task"]["complexity"],
        "levelFrom": "classifier", "agentType": None, "reasons": [],
        "classifier": "words-2", "confidence": plan["task"]["confidence"],
    }  # fmt: skip
    assert [each["modelId"] for each in plan["targets"]] == ["gpt-4o-mini", "gpt-4o", "claude-sonnet"]
    assert [(each["target"], each["code"]) for each in plan["leftOut"]] == [("qwen3-30b@lm_studio", "capability_asked")]
    named = route("--model", "auto:complex", "Sort a list.").stdout
    assert "complex (from model)" in named
    assert named.startswith(
        "(a gateway with this environment could not call 1 of these 4 targets: anthropic (ANTHROPIC_API_KEY is not set); "
    )
    here = route("--complexity", "9", "--available").stdout
    assert "complex (9 of 10) (from header)" in here
    assert "left out: claude-sonnet@anthropic: ANTHROPIC_API_KEY is not set" in here
    assert "left out: qwen3-30b@lm_studio: it does not answer at " in here
    for arguments, prompt, words in (
        (["--task-type", "x" * 201, "hello"], None, "--task-type: found "),
        (["-"], " ", "the prompt on standard input is empty: expected a text"),
    ):
        refused = route(*arguments, prompt=prompt)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr


def test_an_empty_catalog_is_one_line(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("models: []\n")
    env = {"INSTANCE_AGENT_STATE_DIR": str(tmp_path), "INSTANCE_AGENT_CATALOG": str(catalog)}
    result = run_command("instance-agent", "route", "--complexity", "simple", env=env)
    assert result.returncode == 1
    assert "the catalog is empty" in summarize_error(result)


def test_the_built_in_catalog_can_be_printed_as_a_file_to_start_from(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CliRunner().invoke(instance_agent, ["catalog", "--built-in"]).output)
    assert read_entries(catalog) == built_in_entries()


def test_a_wrong_catalog_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("models:\n  - {name: m, provider: p, complexity_scores: {simple: 9}}\n")
    for command in (["catalog"], ["route", "--complexity", "simple"], ["run"]):
        env = {"INSTANCE_AGENT_CATALOG": str(path), "DATABASE_URL": "embedded:/nowhere"}
        result = run_command("instance-agent", *command, env=env)
        assert result.returncode == 2
        assert "models[0].complexity_scores.simple: found 9" in summarize_error(result)


def test_catalog_and_route_find_the_mistakes_that_a_gateway_refuses(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    env = {"INSTANCE_AGENT_STATE_DIR": str(tmp_path), "INSTANCE_AGENT_CATALOG": str(path)}
    model = "models:\n  - {name: m, provider: PROVIDER, complexity_scores: {simple: 4}}\n"
    for command in (["catalog", "--json"], ["route", "--complexity", "simple", "--json"]):
        path.write_text(model.replace("PROVIDER", "openai") + 'aliases: {"gpt-*": atuo}\n')
        refused = run_command("instance-agent", *command, env=env)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert 'aliases.gpt-*: found "atuo"' in summarize_error(refused)

        path.write_text(model.replace("PROVIDER", "opanai"))
        noted = run_command("instance-agent", *command, env=env)
        assert (noted.returncode, bool(json.loads(noted.stdout))) == (0, True)
        assert "(a gateway refuses this catalog; a router of your own may use it: " in noted.stderr
        assert 'models[0].provider: found "opanai" (did you mean openai?)' in noted.stderr

    path.write_text(model.replace("PROVIDER", "house"))
    assert run_command("instance-agent", "catalog", env=env).stderr == ""
    gateway = env | {"INSTANCE_AGENT_GATEWAY_PORT": "3003"}
    assert 'provider: found "house", expected' in run_command("instance-agent", "catalog", env=gateway).stderr
