"""TLS to upstreams: a certificate that is not trusted is refused, and a bundle of one's own is trusted."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from support.calling import whole
from support.chats import KEY, a_request, an_upstream

from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.transport import Transport

x509 = pytest.importorskip(
    "cryptography.x509", reason="the certificate of the test is made by the package cryptography"
)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake upstream")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "upstream.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return file


@asynccontextmanager
async def _upstream_with(certificate: Path) -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.Response:
        choice = {"message": {"content": "over TLS"}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def _ask(certificate: Path, ca_file: Path | None) -> str:
    async with _upstream_with(certificate) as url, Transport(ca_file=ca_file) as transport:
        return (await whole(ProviderCalls(transport), an_upstream("openai", url), a_request(), "m")).text


def test_a_certificate_that_is_not_trusted_is_not_given_the_key(certificate: Path) -> None:
    with pytest.raises(ProviderError) as refused:
        asyncio.run(_ask(certificate, None))

    assert (refused.value.error_kind, refused.value.retry, refused.value.status) == ("provider", Retry.SETUP, 502)
    assert "TLS failed" in refused.value.message
    assert KEY not in refused.value.message


def test_a_bundle_of_the_operator_is_trusted(certificate: Path) -> None:
    assert asyncio.run(_ask(certificate, certificate)) == "over TLS"
