"""Publishing in a process that forks: each event is sent once, by the process that published it, also at its exit."""

import subprocess
import sys
from pathlib import Path

from support.commands import environment
from support.servers import execute

PROGRAM = """
import concurrent.futures, multiprocessing, os, sys
from instance_agent.publishing import close, flush, publish_decision, publish_outcome

def publish(name):
    return publish_decision("simple", name, "p")

def fork(work):
    if (child := os.fork()) == 0:
        work()
        sys.exit(0)
    return child

def in_child(name):
    publish(name)
    publish_outcome(before, True)  # of a decision that the parent made before the fork

def in_child_that_exits_at_once(name):
    publish(name)
    assert close(20)
    os._exit(0)

before = publish("parent")
# This fork meets the thread that imports the driver.
children = [fork(lambda: in_child("fork"))]
assert flush(20)
# From here on the parent has an open connection.
children += [fork(lambda: in_child_that_exits_at_once("_exit")), fork(lambda: None)]
forking = multiprocessing.get_context("fork")
process = forking.Process(target=publish, args=("process",))
process.start()
pool = forking.Pool(2)
ids = pool.map(publish, ["pool"] * 100)
with concurrent.futures.ProcessPoolExecutor(1, mp_context=forking) as executor:
    ids += executor.map(publish, ["executor"] * 10)
ids += [publish("parent") for _ in range(100)]
assert len(set(ids)) == 210, "no two processes create the same decision id"
pool.close()
pool.join()
process.join()
assert process.exitcode == 0
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""

#: The fork meets the first imports of the thread, that of `logging` included, which has a lock and a hook of its own.
PROGRAM_THAT_FORKS_AT_ONCE = """
import os, sys
from instance_agent.publishing import publish_decision
publish_decision("simple", "parent", "p")
if os.fork() == 0:
    publish_decision("simple", "child", "p")
    sys.exit(0)
assert os.wait()[1] == 0
"""

SENT = """
    SELECT message #>> '{routing_decision,selected_model}', message #>> '{routing_decision,outcome}', count(*)
    FROM pgmq.q_model_routing_decisions GROUP BY 1, 2
"""


def run(source: str, database_url: str, folder: Path) -> None:
    program = folder / "program.py"
    program.write_text(source)
    result = subprocess.run(
        [sys.executable, program],
        env=environment(DATABASE_URL=database_url, INSTANCE_ID="i"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_each_event_is_sent_once_by_the_process_that_published_it(database_url: str, tmp_path: Path) -> None:
    run(PROGRAM, database_url, tmp_path)
    assert sorted(execute(database_url, SENT)) == [
        ("_exit", "routed", 1),
        ("executor", "routed", 10),
        ("fork", "routed", 1),
        ("parent", "routed", 101),
        ("parent", "success", 1),
        ("pool", "routed", 100),
        ("process", "routed", 1),
    ]


def test_a_fork_at_once_waits_for_no_lock_and_loses_nothing(database_url: str, tmp_path: Path) -> None:
    run(PROGRAM_THAT_FORKS_AT_ONCE, database_url, tmp_path)
    assert sorted(execute(database_url, SENT)) == [("child", "routed", 1), ("parent", "routed", 1)]
