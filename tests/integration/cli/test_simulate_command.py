"""`centralcloud simulate` from the command line. Only --from-records needs a database."""

import json
from pathlib import Path

import pytest
from support.commands import run_command
from support.events import outcomes
from support.maintenance import ingest
from support.outcomes import table_text, write_table

from centralcloud.runtime.postgres.database import Database

SCENARIO = {"phases": [{"events": 600}, {"events": 400, "outage": ["@best"]}], "weights": {"latency": 0}}
MEASURES = (
    *(
        "reward",
        "oracle_reward",
        "regret_percent",
        "pairs_ordered_right",
        "saturated_share",
        "tied_share",
        "probe_share",
    ),
    *(
        "success_rate",
        "mean_cost_usd",
        "mean_latency_ms",
        "busiest_share",
        "events_to_detect",
        "events_to_recover",
        "false_alarms",
    ),
    *("ticks_to_quarantine", "honest_exclusions", "wall_seconds"),
)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO))
    return ["--outcomes", str(write_table(tmp_path)), "--scenario", str(scenario)]


def test_json_has_every_measure_with_its_interval(files: list[str]) -> None:
    finished = run_command("centralcloud", "simulate", *files, "--rule", "adaptive", "--seeds", "0-2", "--json", env={})
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert (result["rule"], result["seeds"], result["events"]) == ("adaptive", [0, 1, 2], 1000)
    for name in MEASURES:
        assert set(result[name]) == {"mean", "low", "high", "runs"}, name
    assert result["regret_percent"]["low"] <= result["regret_percent"]["mean"] <= result["regret_percent"]["high"]
    assert [phase["events"] for phase in result["phases"]] == [600, 400]
    assert all(phase["regret_percent"]["runs"] == 3 for phase in result["phases"])
    assert 0 < result["success_rate"]["mean"] <= 1
    for phase in result["phases"]:
        busiest = max(each["mean"] if isinstance(each, dict) else each for each in phase["traffic"].values())
        assert 0 < busiest <= phase["busiest_share"]["mean"] <= 1


def test_the_default_output_is_a_table(files: list[str]) -> None:
    finished = run_command(
        "centralcloud", "simulate", *files, "--rule", "threshold", "--seeds", "1,4", "--jobs", "1", env={}
    )
    assert finished.returncode == 0, finished.stderr
    for name in ("regret_percent", "success_rate", "mean_cost_usd", "mean_latency_ms", "busiest_share"):
        assert f"\n{name} " in finished.stdout, finished.stdout
    assert "threshold: 2 runs of 1,000 tasks" in finished.stdout


def test_the_selection_mode_of_instances_is_an_option(files: list[str]) -> None:
    regrets = set()
    for selection in ("thompson", "greedy"):
        finished = run_command(
            "centralcloud", "simulate", *files, "--seeds", "0", "--selection", selection, "--json", env={}
        )
        regrets.add(json.loads(finished.stdout)["regret_percent"]["mean"])
    assert len(regrets) == 2


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (
            ["--rule", "best"],
            "--rule: found 'best', expected one of threshold, adaptive, thompson, thompson-half-life,",
        ),
        (["--seeds", "4-1"], "--seeds: found '4-1', expected from 1 to 10,000 seeds, the lower first"),
        (["--seeds", "x"], "--seeds: found 'x', expected seeds like 7, 0-19 or 1,3,5-8"),
        (["--seeds", "0-99999"], "--seeds: found '0-99999', expected from 1 to 10,000 seeds, the lower first"),
        (["--selection", "best"], "--selection: found 'best', expected one of auto, thompson, greedy"),
        (["--from-records"], "found --outcomes and --from-records, expected one of them"),
        (["--since", "2d"], "found --since or --until without --from-records, expected both"),
        (["--outcomes", "/nowhere.csv"], "cannot read /nowhere.csv: No such file or directory"),
        (["--scenario", "/nowhere.json"], "cannot read /nowhere.json: No such file or directory"),
        (["--scenario", "/"], "cannot read /: Is a directory"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(files: list[str], changed: list[str], complaint: str) -> None:
    finished = run_command("centralcloud", "simulate", *files, *changed, env={})
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("centralcloud: ")
    assert complaint in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_an_error_in_a_scenario_names_its_place(files: list[str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"phases": [{"events": 100, "outage": ["unknown"]}]}))
    finished = run_command("centralcloud", "simulate", *files, "--scenario", str(wrong), env={})
    assert finished.returncode == 2
    assert finished.stderr == (
        f'centralcloud: {wrong}: phases[0].outage[0]: found "unknown", expected one of the models of the scenario: '
        "bad, fair, good, poor\n"
    )


def test_a_table_or_the_records_are_required() -> None:
    finished = run_command("centralcloud", "simulate", env={})
    assert finished.returncode == 2
    assert finished.stderr == "centralcloud: --outcomes is required, or --from-records, or --experiment\n"


def test_an_experiment_is_simulated_with_every_measure(tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps({"control": {"success": 0.95}, "treatments": {"down": {"success": 0.0}}}))
    command = ["centralcloud", "simulate", "--experiment", str(path), "--seeds", "0-3", "--jobs", "1"]
    result = json.loads(run_command(*command, "--json", env={}).stdout)
    assert (result["experiment"], result["kind"], result["seeds"]) == (str(path), "canary", [0, 1, 2, 3])
    down = result["treatments"][0]
    assert (down["name"], down["rolled_back"]["share"], down["reasons"]) == ("down", 1.0, {"fewer successes": 4})
    assert 0 < down["served_at_stop"]["median"] <= down["served"]["median"] < down["requests"]["median"]
    assert down["extra_failures"]["mean"] == pytest.approx(0.95 * down["served"]["median"], rel=0.5)
    text = run_command(*command, env={}).stdout
    assert "\ndown       0.0% ± 18.6  100.0% ± 18.6" in text
    assert "Traffic until the verdict, at the median: down " in text


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--rule", "adaptive"], "found --rule and --experiment, expected one of them"),
        (["--from-records"], "found --from-records and --experiment, expected one of them"),
        ([], '{path}: plan: found the key "steep", expected one of alpha, latencyCapMs,'),
    ],
)
def test_a_mistake_in_an_experiment_is_one_line(tmp_path: Path, given: list[str], complaint: str) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps({"control": {"success": 0.9}, "treatments": {"a": {}}, "plan": {"steep": [0.5]}}))
    finished = run_command("centralcloud", "simulate", "--experiment", str(path), *given, env={})
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"centralcloud: {complaint.format(path=path)}")
    assert finished.stderr.count("\n") == 1


def test_a_table_with_holes_says_what_they_may_hide(tmp_path: Path, files: list[str]) -> None:
    table = tmp_path / "holes.csv"
    table.write_text("\n".join(line for line in table_text().splitlines() if "good,complex-1" not in line) + "\n")
    finished = run_command("centralcloud", "simulate", *files, "--outcomes", str(table), "--seeds", "0", env={})
    assert finished.returncode == 0, finished.stderr
    last = " ".join(finished.stdout.split())
    assert "The table has holes: the outcomes of " in last
    assert "Whatever they hide, the reward lies between 0." in last


def test_the_records_of_a_site_are_a_world_to_simulate_in(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    ingest(
        database,
        database_url,
        [
            *outcomes(90, 10, selected_model="leader", propensity=0.9),
            *outcomes(20, 30, selected_model="other", propensity=0.1, cost_usd=0.01),
            *outcomes(1, 0, selected_model="rare", propensity=0.01),
        ],
    )
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"phases": [{"events": 600}], "weights": {"latency": 0}}))
    command = ["simulate", "--from-records", "--scenario", str(scenario), "--seeds", "0-1", "--jobs", "1"]
    finished = run_command("centralcloud", *command, "--json", env={"DATABASE_URL": database_url})
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert result["models"] == ["leader", "other"]
    assert result["records"]["outcomes"] == 151
    pairs = {each["model"]: each for each in result["records"]["pairs"]}
    assert (pairs["leader"]["reward"], pairs["other"]["reward"]) == (0.9, 0.4)
    assert [each["simulated"] for each in pairs.values()] == [True, True, False]
    assert 0.6 < result["reward"]["mean"] < 0.95
    text = run_command("centralcloud", *command, env={"DATABASE_URL": database_url}).stdout
    assert "As it was: reward 0.7351, success rate 73.5%, of 151 outcomes since " in text
    assert "rare, complex: 1 outcome, worth 1 that weigh equally" in " ".join(text.split())
    nothing = run_command("centralcloud", *command, "--until", "1d", env={"DATABASE_URL": database_url})
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("centralcloud: --from-records: found 0 outcomes, and no model with 30")
