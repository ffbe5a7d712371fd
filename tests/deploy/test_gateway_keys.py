"""The keys of the gateway in the deployments: those of providers reach it, and the first key of clients is made once."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.commands import BIN, run_command
from support.gateways import start_gateway
from support.repository import REPOSITORY
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream

_KUBERNETES = REPOSITORY / "deploy/kubernetes/gateway"
_PAGE = REPOSITORY / "docs/how-to/deploy-with-kubernetes.md"


def _container(file: str) -> dict[str, Any]:
    (container,) = yaml.safe_load((_KUBERNETES / file).read_text())["spec"]["template"]["spec"]["containers"]
    return container  # type: ignore[no-any-return]


def _run(command: list[str], database_url: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    env = {"DATABASE_URL": database_url, "INSTANCE_AGENT_STATE_DIR": str(folder), **variables}
    return run_command(program, *arguments, env=env, cwd=folder)


def _secret(folder: Path) -> Path:
    """Make the key by the command of the page, and mount it as Kubernetes does: a link to a file that cannot be written."""
    (command,) = re.findall(r"^\(umask 077; printf 'cck_.*?> first-key\)$", _PAGE.read_text(), re.MULTILINE)
    subprocess.run(["bash", "-euc", command], cwd=folder, check=True)
    mounted = folder / "mounted"
    (mounted / "..data").mkdir(parents=True)
    (folder / "first-key").rename(mounted / "..data/key")
    (mounted / "..data/key").chmod(0o440)
    (mounted / "key").symlink_to("..data/key")
    mounted.chmod(0o555)
    return mounted


def test_the_job_registers_the_key_of_the_secret_and_may_run_again(database_url: str, tmp_path: Path) -> None:
    mounted = _secret(tmp_path)
    command = [each.replace("/run/secrets/first-key", str(mounted)) for each in _container("first-key.yaml")["args"]]
    for _ in range(2):
        result = _run(command, database_url, tmp_path)
        assert result.returncode == 0, result.stderr
    listed = json.loads(_run(["instance-agent", "keys", "list", "--json"], database_url, tmp_path).stdout)
    text = (mounted / "key").read_text().strip()
    assert [(key["role"], key["label"]) for key in listed] == [("admin", "first key")]
    assert text.startswith(listed[0]["id"])
    assert text not in result.stdout + result.stderr


def test_the_gateway_starts_with_the_command_of_the_pod_and_the_key_of_the_job(
    start: Any, database_url: str, tmp_path: Path, fake_upstream: FakeUpstream
) -> None:
    """Both keys meet: the client's is that of the Secret, and the provider's comes from its file."""
    mounted = _secret(tmp_path)
    register = [each.replace("/run/secrets/first-key", str(mounted)) for each in _container("first-key.yaml")["args"]]
    assert _run(register, database_url, tmp_path).returncode == 0
    (tmp_path / "provider-keys.env").write_text("# of a provider\nHERE_KEY=sk-in-a-file\n")
    (tmp_path / "catalog.yaml").write_text(
        f"providers: [{{provider: here, base_url: '{fake_upstream.openai_url}', api_key: 'env:HERE_KEY'}}]\n"
        "models: [{name: gpt, provider: here, complexity_scores: {simple: 4, medium: 4, complex: 4}}]\n"
    )
    before = [each.replace("/run/secrets/providers", str(tmp_path)) for each in _container("deployment.yaml")["args"]]
    program, *arguments = before

    def as_the_pod_does(*given: str, **variables: str) -> Any:
        assert given[:2] == ("instance-agent", "serve")
        return start(program, *arguments, *given[2:], PATH=f"{BIN}:/usr/bin:/bin", **variables)

    gateway = start_gateway(
        as_the_pod_does, tmp_path, fake_upstream, database_url, key=(mounted / "key").read_text().strip(),
        INSTANCE_AGENT_CATALOG=str(tmp_path / "catalog.yaml"),
        INSTANCE_AGENT_GATEWAY_ADDRESS="0.0.0.0",
    )  # fmt: skip
    assert gateway.chat("gpt").status == 200
    assert gateway.call("GET", "/v1/models", key=None).status == 401
    (request,) = [each for each in fake_upstream.requests("gpt") if "authorization" in each["headers"]]
    assert request["headers"]["authorization"] == "Bearer sk-in-a-file"


@pytest.mark.parametrize("file", ["first-key.yaml", "deployment.yaml"])
def test_the_manifests_have_no_key_in_them(file: str) -> None:
    assert not re.search(r"sk-|cck_", (_KUBERNETES / file).read_text())
