"""An agent in a process that forks, ends or is killed: each event is sent once, or stays in the spool for the next start."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import environment
from support.ports import free_port
from support.servers import execute
from support.waiting import eventually

_CATALOG = "models: [{name: m, provider: p, complexity_scores: {simple: 2}}]"
_COUNT = (
    "SELECT count(*), count(DISTINCT message #>> '{routing_decision,decision_id}') FROM pgmq.q_model_routing_decisions"
)
_BEGIN = """
import multiprocessing, os, signal, sys, time
from instance_agent import AgentSettings, InstanceAgent

agent = InstanceAgent(AgentSettings())

def work(number):
    decision = agent.router.route("simple")
    agent.router.report_outcome(decision, True, 10)
    return decision.decision_id
"""
#: At the end of each child the agent sends what is in memory, as at the end of the program.
_FORKS = """
agent.start()
work(0)
pool = multiprocessing.get_context("fork").Pool(4)
ids = pool.map(work, range(100), chunksize=5)
pool.close()
pool.join()
if (child := os.fork()) == 0:
    work(0)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
if (child := os.fork()) == 0:
    for _ in range(5):
        work(0)
    assert agent.publisher.waiting == 10 and agent.publisher.sent == 0
    agent.stop()
    assert agent.publisher.sent == 10, agent.publisher.sent
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
work(0)
"""
_RAISES = """
try:
    with agent:
        for number in range(20):
            work(number)
        raise KeyError("an error")
except KeyError:
    os._exit(0)
"""
_NEVER_STARTED = "for number in range(20): work(number)"
_SIGTERM = """
signal.signal(signal.SIGTERM, lambda *_: os._exit(3)) if "former" in sys.argv else None
with agent:
    agent.flush_on_sigterm()
    for number in range(20):
        work(number)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
_PUBLISHING = """
from instance_agent.publishing import flush, flush_on_sigterm, publish_decision, publish_outcome

flush_on_sigterm()
for number in range(20):
    publish_outcome(publish_decision("simple", model="m", provider="p"), True)
    assert number or flush(20)  # what it loads is loaded
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
_ASYNCIO = """
import asyncio

async def main():
    with agent:
        await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(10)))
        for number in range(10):
            work(number)

asyncio.run(main())
"""


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Starts a Python program with an agent in it."""
    (tmp_path / "catalog.yaml").write_text(_CATALOG)

    def run_one(program: str, *arguments: str, **env: str) -> subprocess.Popen:
        path = tmp_path / "program.py"
        path.write_text(_BEGIN + program)
        given = {
            "DATABASE_URL": database_url,
            "INSTANCE_ID": "i",
            "INSTANCE_AGENT_CATALOG": str(tmp_path / "catalog.yaml"),
            "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
        }
        command = [sys.executable, str(path), *arguments]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=environment(**{**given, **env}), **output)  # type: ignore[call-overload]

    return run_one


@pytest.mark.parametrize(
    ("program", "arguments", "events", "code"),
    [
        (_FORKS, [], 2 * (1 + 100 + 1 + 5 + 1), 0),
        (_RAISES, [], 40, 0),
        (_NEVER_STARTED, [], 40, 0),
        (_SIGTERM, [], 40, -signal.SIGTERM),
        (_SIGTERM, ["former"], 40, 3),
        (_PUBLISHING, [], 40, -signal.SIGTERM),
        (_ASYNCIO, [], 40, 0),
    ],
    ids=[
        "forks",
        "an exception",
        "never started",
        "SIGTERM",
        "SIGTERM with a former handler",
        "SIGTERM without an agent",
        "asyncio",
    ],
)
def test_no_event_is_lost(
    run: Callable[..., subprocess.Popen],
    database_url: str,
    program: str,
    arguments: list[str],
    events: int,
    code: int,
) -> None:
    process = run(program, *arguments)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert execute(database_url, _COUNT) == [(events, events // 2)], output
    assert ("events_not_sent" in output) == (program is _NEVER_STARTED), output


@pytest.mark.soak
def test_workers_of_gunicorn_that_share_a_preloaded_agent(
    run: Callable[..., subprocess.Popen], database_url: str
) -> None:
    """The agent is started before the workers are forked; the arbiter ends them with SIGTERM."""
    pytest.importorskip("gunicorn")
    port = free_port()
    program = f"""
agent.start()

def application(environ, start_response):
    work(0)
    start_response("200 OK", [])
    return [b"routed by %d" % os.getpid()]

if __name__ == "__main__":
    os.chdir(os.path.dirname(__file__))
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--no-control-socket",
        "--bind", "127.0.0.1:{port}", "program:application"])
"""
    import urllib.request

    process = run(program)

    def request() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return bytes(answer.read())

    try:
        eventually(request, what="the first answer", within_seconds=30)
        answers = {request() for _ in range(39)}
        assert answers
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=40)
    (counted,) = execute(database_url, _COUNT)
    assert counted == (80, 40), output


@pytest.mark.soak
def test_workers_of_celery(run: Callable[..., subprocess.Popen], database_url: str, tmp_path: Path) -> None:
    pytest.importorskip("celery")
    program = """
import warnings
from celery import Celery

folder = os.path.dirname(os.path.abspath(__file__))
app = Celery("program", broker="filesystem://")
for name in ("queue", "control"):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
app.conf.broker_transport_options = {"data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue",
    "control_folder": folder + "/control"}
app.conf.worker_hijack_root_logger = False
agent.start()

@app.task(name="routed")
def routed(number):
    work(number)

if __name__ == "__main__":
    agent.stop()
    for number in range(20):
        routed.delay(number)
    os.environ["C_FORCE_ROOT"] = "1"
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", "celery", "-A", "program", "worker", "--concurrency", "2",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning"])
"""
    process = run(program)
    try:
        eventually(lambda: execute(database_url, _COUNT)[0][0] > 0, within_seconds=50, what="an event of a worker")
        eventually(lambda: not list((tmp_path / "queue").iterdir()), within_seconds=30, what="the end of the tasks")
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=40)
    assert execute(database_url, _COUNT) == [(40, 20)], output


def test_a_second_agent_of_one_folder_is_named(run: Callable[..., subprocess.Popen], tmp_path: Path) -> None:
    program = f"""
other = InstanceAgent(AgentSettings())
with agent, other:
    if os.fork() == 0:
        os.execv("{Path(sys.executable).parent}/instance-agent", ["instance-agent", "run"])
    os.wait()
"""
    output, _ = run(program).communicate(timeout=60)
    assert "state_folder_in_use" in output
    last = [line for line in output.splitlines() if line.startswith("instance-agent: ")]
    assert len(last) == 1, output
    assert f"uses the state folder {tmp_path / 'state'}: expected one agent for the instance i" in last[0]
