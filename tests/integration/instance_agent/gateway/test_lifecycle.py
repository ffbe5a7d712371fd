"""The life of a gateway: its start without the database, its stop while requests run, its settings."""

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.gateways import Gateway, Reply, a_catalog, a_key, start_gateway
from support.ports import free_port
from support.programs import Program
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.upstream.process import FakeUpstream
from support.waiting import eventually

StartProgram = Callable[..., Program]


@contextmanager
def open_stream(gateway: Gateway, text: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    body = json.dumps({"model": "gpt", "stream": True, "messages": [{"role": "user", "content": text}]})
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    with closing(connection), connection.getresponse() as answer:
        yield answer


def test_a_stop_lets_streams_end_and_takes_no_new_requests(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("hold-in-stream", times=1)
    with open_stream(gateway, "one two three four five six seven") as answer:
        answer.read(10)
        gateway.program.process.send_signal(signal.SIGTERM)
        gateway.program.wait_for("gateway_draining")

        ready = gateway.call("GET", "/health/ready", key=None)
        refused = gateway.chat()
        fake_upstream.release()
        rest = answer.read()

    assert (ready.status, ready.json()["reasons"]) == (503, ["stopping"])
    assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert rest.endswith(b"data: [DONE]\n\n")
    assert gateway.program.process.wait(timeout=20) == 0
    assert "gateway_requests_cut" not in gateway.program.events()


def test_a_clean_stop_leaves_the_register_of_instances(gateway: Gateway, database_url: str) -> None:
    listed = "SELECT instance_id FROM instances"
    eventually(lambda: execute(database_url, listed) == [("gateway-1",)])

    gateway.program.process.send_signal(signal.SIGTERM)

    assert gateway.program.process.wait(timeout=20) == 0
    assert execute(database_url, listed) == []


def test_a_stream_that_runs_longer_than_the_grace_ends_with_an_error_event(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    key = a_key(database_url)
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=key, INSTANCE_AGENT_GATEWAY_DRAIN_SECONDS="0.5"
    )
    fake_upstream.behave("hang-in-stream=4", model="gpt")
    fake_upstream.behave("hang", model="opus")
    plain: list[Reply] = []
    asks = threading.Thread(target=lambda: plain.append(gateway.chat("opus")))
    with open_stream(gateway, "one two three") as answer:
        answer.read(10)
        asks.start()
        eventually(lambda: len(fake_upstream.requests()) == 2)
        gateway.program.process.send_signal(signal.SIGTERM)
        rest = answer.read()
    asks.join()

    assert b'"error"' in rest
    assert b"[DONE]" not in rest
    ended = "this request was ended by the stop of the gateway, 0.5 s after it began to stop; it may be sent again"
    assert ended.encode() in rest
    assert [(each.status, each.error["code"]) for each in plain] == [(503, "stopping")]
    assert ended in plain[0].error["message"]
    assert gateway.program.process.wait(timeout=20) == 0
    logged = [line for line in gateway.program.log() if line["event"] == "request"]
    assert sorted((line["status"], line.get("cutByStop")) for line in logged) == [(200, True), (503, True)]
    eventually(lambda: all(each["ended"] == "client gone" for each in fake_upstream.requests()))
    outcomes = execute(
        database_url,
        "SELECT message #>> '{routing_decision,outcome}', message #>> '{routing_decision,error_kind}' "
        "FROM pgmq.q_model_routing_decisions ORDER BY msg_id",
    )
    assert sorted(outcomes, key=str) == [
        ("failure", "caller"),
        ("failure", "caller"),
        ("routed", None),
        ("routed", None),
    ]


def test_it_starts_and_serves_while_the_database_is_down(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, proxy: TcpProxy
) -> None:
    key = a_key(database_url)
    first = start_gateway(start, tmp_path, fake_upstream, proxy.url, key=key)
    first.program.process.send_signal(signal.SIGTERM)
    assert first.program.process.wait(timeout=20) == 0
    proxy.pause()
    proxy.cut()

    gateway = start_gateway(start, tmp_path, fake_upstream, proxy.url, key=key)
    detailed = eventually(lambda: _down(gateway), what="the outage in the details", within_seconds=30)

    assert detailed["status"] == "healthy"
    assert gateway.call("GET", "/health/ready", key=None).status == 200
    assert gateway.chat().status == 200
    assert gateway.call("GET", "/v1/models", key="wrong").status == 401
    eventually(lambda: any(file.stat().st_size for file in (tmp_path / "state/spool").iterdir()), what="events on disk")
    gateway.program.kill()  # with events that the database has not got
    proxy.resume()
    again = start_gateway(start, tmp_path, fake_upstream, proxy.url, key=key)
    eventually(
        lambda: execute(database_url, "SELECT count(DISTINCT message) FROM pgmq.q_model_routing_decisions") == [(2,)],
        what="the events of the killed gateway",
        within_seconds=90,
    )
    assert again.chat().status == 200


def _down(gateway: Gateway) -> dict | None:
    details: dict = gateway.call("GET", "/health/detailed", key=None).json()
    return details if details["db"] == "down" else None


def test_keys_do_not_count_after_the_grace_without_the_database(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, proxy: TcpProxy
) -> None:
    key = a_key(database_url)
    gateway = start_gateway(
        start, tmp_path, fake_upstream, proxy.url, key=key,
        INSTANCE_AGENT_GATEWAY_KEY_GRACE_SECONDS="3", INSTANCE_AGENT_POLL_INTERVAL_SECONDS="0.2",
    )  # fmt: skip
    assert gateway.chat().status == 200
    proxy.pause()
    proxy.cut()

    refused = eventually(lambda: reply if (reply := gateway.chat()).status == 503 else None, within_seconds=30)
    assert "database was not reached" in refused.error["message"]
    assert gateway.call("GET", "/health/ready", key=None).status == 503
    assert gateway.call("GET", "/health", key=None).status == 200


def test_the_port_of_the_option_comes_before_that_of_the_gateway_and_port(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    one, two = free_port(), free_port()
    program = _serve(start, tmp_path, database_url, PORT=str(one), INSTANCE_AGENT_GATEWAY_PORT=str(two))
    assert _port(program) == two
    program.end()
    assert _port(_serve(start, tmp_path, database_url, PORT=str(one))) == one


def test_settings_of_other_gateways_are_not_needed_and_the_event_loop_can_be_that_of_asyncio(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    program = _serve(
        start, tmp_path, database_url, "--port", "0",
        REDIS_URL="redis://:secret@redis:6379", NODE_ENV="production",
        INSTANCE_AGENT_GATEWAY_PORT="tcp://10.0.0.1:3003", INSTANCE_AGENT_GATEWAY_EVENT_LOOP="asyncio",
    )  # fmt: skip
    program.wait_for("gateway_started")

    assert [line["event_loop"] for line in program.log() if line["event"] == "gateway_started"] == ["asyncio"]
    not_needed = [line["variable"] for line in program.log() if line["event"] == "setting_not_needed"]
    assert not_needed == ["REDIS_URL", "NODE_ENV"]
    assert "secret" not in program.output()


def test_debug_logs_show_the_decision_with_its_reasons_and_no_prompt(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    key = a_key(database_url)
    gateway = start_gateway(start, tmp_path, fake_upstream, database_url, key=key, LOG_LEVEL="DEBUG")
    gateway.chat(text="the secret of the pharaohs")

    plan = next(line["plan"] for line in gateway.program.log() if line["event"] == "request_planned")
    assert any("gpt@alpha: the best" in line for line in plan)
    for found in ("pharaohs", key, "sk-upstream"):
        assert found not in gateway.program.output()


def a_certificate(certificate: Path, key: Path) -> None:
    """Write a certificate that signs itself, and its key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip


def test_it_serves_https_and_a_renewed_certificate_from_sighup_on(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    certificate, key, trusted = tmp_path / "tls.pem", tmp_path / "tls.key", tmp_path / "trusted.pem"
    a_certificate(certificate, key)
    trusted.write_bytes(certificate.read_bytes())
    program = _serve(
        start, tmp_path, database_url, "--port", "0", "--tls-certificate", str(certificate), "--tls-key", str(key)
    )
    port = _port(program)
    assert [line["event_loop"] for line in program.log() if line["event"] == "gateway_started"] == ["uvloop"]

    def connect() -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(trusted))
        return http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)

    def is_served(connection: http.client.HTTPSConnection) -> bool:
        connection.request("GET", "/health")
        with connection.getresponse() as answer:
            return bool(json.loads(answer.read())["service"] == "model-router")

    with closing(connect()) as old:
        assert is_served(old)
        key.write_text("broken")
        program.process.send_signal(signal.SIGHUP)
        program.wait_for("certificate_refused")
        with closing(connect()) as still:
            assert is_served(still), "by the last valid certificate"
        a_certificate(certificate, key)
        program.process.send_signal(signal.SIGHUP)
        program.wait_for("certificate_loaded")
        with closing(connect()) as other, pytest.raises(ssl.SSLCertVerificationError):
            other.connect()
        trusted.write_bytes(certificate.read_bytes())
        with closing(connect()) as new:
            assert is_served(new)
        assert is_served(old), "a connection that was open stays"


def test_a_start_in_front_of_a_database_of_another_version_says_so_and_survives_sighup(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    execute(database_url, "ALTER TABLE configuration_state RENAME TO gone")
    program = _serve(
        start, tmp_path, database_url, "--port", "0", INSTANCE_AGENT_CATALOG=str(a_catalog(tmp_path, fake_upstream))
    )
    # Python itself needs some milliseconds before any line of the program runs.
    ignored = 1 << (signal.SIGHUP - 1)
    status = Path(f"/proc/{program.process.pid}/status")
    eventually(lambda: int(re.findall(r"SigIgn:\s(\w+)", status.read_text())[0], 16) & ignored)
    for _ in range(3):
        program.process.send_signal(signal.SIGHUP)
    gateway = Gateway(program, None)

    started = next(line for line in program.log() if line["event"] == "gateway_started")
    remedy = "the database is not that of this version: run `centralcloud migrate` on it"
    assert started["keys"].startswith("no request is served yet: the keys are not known")
    assert remedy in started["keys"]
    assert (started["level"], "gateway_ready" in program.events()) == ("warning", False)
    ready = gateway.call("GET", "/health/ready", key=None)
    assert (ready.status, remedy in ready.json()["reasons"][0]) == (503, True)
    refused = gateway.chat()
    assert (refused.status, refused.error["code"], remedy in refused.error["message"]) == (503, "keys_unknown", True)
    execute(database_url, "ALTER TABLE gone RENAME TO configuration_state")
    program.wait_for("gateway_ready")
    assert gateway.chat().status == 200
    ready = [line for line in program.log() if line["event"] == "gateway_ready"]
    assert [line["keys"] for line in ready] == ["none: only clients of this machine are served"]


def test_a_slow_client_does_not_hold_others_up(gateway: Gateway) -> None:
    slow = []
    for _ in range(50):
        client = socket.create_connection(("127.0.0.1", gateway.port))
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-long: ")
        slow.append(client)
    assert gateway.chat().status == 200
    for client in slow:
        client.close()


def _serve(start: StartProgram, folder: Path, database_url: str, *arguments: str, **env: str) -> Program:
    variables = {
        "DATABASE_URL": database_url,
        "INSTANCE_AGENT_STATE_DIR": str(folder / "state"),
        "INSTANCE_AGENT_LOG_FORMAT": "json",
        "INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS": "0",
    }
    return start("instance-agent", "serve", *arguments, **(variables | env))


def _port(program: Program) -> int:
    program.wait_for("gateway_started")
    found = re.search(
        r'"port": (\d+)', next(line for line in program.output().splitlines() if "gateway_started" in line)
    )
    assert found is not None
    return int(found[1])
