"""Three gateways over one database with a worker: killed, stopped and started again one by one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from centralcloud.administration.verification import verify
from centralcloud.runtime.postgres.database import Database
from support.commands import run_command
from support.gateways import Gateway, a_catalog, a_key, start_gateway
from support.load import queued
from support.ports import free_port
from support.programs import Program
from support.servers import OwnServer, embedded_folder, execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually

_WORKER = {
    "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.1",
    "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.3",
    "CENTRALCLOUD_BATCH_SIZE": "200",
}
_OF_DECISIONS = (
    "SELECT decision_id, count(*) FILTER (WHERE outcome = 'routed'), count(*) FILTER (WHERE outcome <> 'routed') "
    "FROM routing_records WHERE decision_id = ANY(%s) GROUP BY decision_id"
)


class Replicas:
    """The gateways, their database and its worker.

    Attributes:
        server: the PostgreSQL of their own.
        key: of the role admin.
        gateways: running or not; each keeps its port and its folder.
    """

    def __init__(self, folder: Path, server: OwnServer, upstream: FakeUpstream) -> None:
        self.folder = folder
        self.server = server
        self.url = server.url
        self.upstream = upstream
        self.gateways: list[Gateway] = []
        self._programs: list[Program] = []
        self._ports = [free_port() for _ in range(3)]
        self._catalog = a_catalog(folder, upstream)
        self.key = a_key(self.url, "admin")
        self.worker = self.start_program("centralcloud", "run", DATABASE_URL=self.url, **_WORKER)
        self.worker.wait_for("started")
        self.gateways = [self.start(number) for number in range(3)]

    @property
    def urls(self) -> list[str]:
        """Addresses of all three."""
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    def start_program(self, program: str, *arguments: str, fault: str | None = None, **env: str) -> Program:
        """Start a program that ends with the replicas."""
        log = self.folder / f"{len(self._programs)}.log"
        self._programs.append(Program(program, *arguments, log=log, env=env, fault=fault))
        return self._programs[-1]

    def start(self, number: int, **env: str) -> Gateway:
        """Start a replica at its port, with its folder, and wait until it is ready."""
        return start_gateway(
            self.start_program, self.folder, self.upstream, self.url, "--port", str(self._ports[number]), key=self.key,
            INSTANCE_ID=f"gateway-{number}", INSTANCE_AGENT_STATE_DIR=str(self.folder / f"state-{number}"),
            INSTANCE_AGENT_CATALOG=str(self._catalog), **env,
        )  # fmt: skip

    def start_again(self, number: int) -> None:
        """Start a replica that has ended."""
        self.gateways[number] = self.start(number)

    def start_new(self, **env: str) -> Gateway:
        """Start a further gateway without any files of an earlier run, and return it before it is ready."""
        name = f"new-{len(self._programs)}"
        variables = {
            "DATABASE_URL": self.url,
            "INSTANCE_ID": name,
            "INSTANCE_AGENT_STATE_DIR": str(self.folder / name),
            "INSTANCE_AGENT_LOG_FORMAT": "json",
            "INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS": "0",
            "INSTANCE_AGENT_CATALOG": str(self._catalog),
        }
        return Gateway(self.start_program("instance-agent", "serve", "--port", "0", **(variables | env)), self.key)

    def end(self) -> None:
        """End every program."""
        for program in self._programs:
            program.end()


@contextmanager
def three_replicas(folder: Path, upstream: FakeUpstream) -> Iterator[Replicas]:
    """Start a database, a worker and three gateways."""
    with embedded_folder() as data:
        server = OwnServer(str(data))
        try:
            assert run_command("centralcloud", "migrate", env={"DATABASE_URL": server.url}).returncode == 0
            replicas = Replicas(folder, server, upstream)
            try:
                yield replicas
            finally:
                replicas.end()
        finally:
            server.stop()


def assert_recorded_once(url: str, decisions: Sequence[str]) -> None:
    """Wait until each decision that a client was answered is recorded, once, with one outcome; then verify every count."""
    # The events of an outage are sent and ingested at some hundred requests a second on a busy machine.
    within_seconds = 30.0 + len(decisions) / 100

    def missing() -> set[str]:
        return set(decisions) - {decision for (decision, _, _) in execute(url, _OF_DECISIONS, (list(decisions),))}

    def all_there() -> bool:
        return not missing()

    try:
        eventually(all_there, within_seconds=within_seconds, what="a record of each answer")
    except AssertionError:
        lost = missing()
        raise AssertionError(f"{len(lost)} of {len(decisions)} answers are not recorded: {sorted(lost)[:5]}") from None
    eventually(lambda: queued(url) == 0, what="an empty queue")
    found = execute(url, _OF_DECISIONS, (list(decisions),))
    assert [each for each in found if each[1:] != (1, 1)] == []
    with Database(url, application_name="tests") as database:
        assert verify(database).differences == []
