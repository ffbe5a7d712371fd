"""An identity provider: it signs tokens, and serves the keys that verify them on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://login.example/"
AUDIENCE = "gateway"


class SigningKey:
    """A key pair of the issuer."""

    def __init__(self, kid: str, algorithm: str) -> None:
        self.kid = kid
        self.algorithm = algorithm

    @cached_property
    def private(self) -> Any:
        """The private key, made when a test needs it: one of RSA takes a while."""
        if self.algorithm == "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if self.algorithm == "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        return ed25519.Ed25519PrivateKey.generate()

    def jwk(self, **fields: Any) -> dict[str, Any]:
        """Return the public key as JSON."""
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm, **fields}

    def public_pem(self) -> bytes:
        """Return the public key in PEM."""
        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token that is valid for a minute; claims of the value None are left out."""
        now = time.time()
        found = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "role": "user", "iat": now, "exp": now + 60, **claims}
        payload = {name: value for name, value in found.items() if value is not None}
        own = {name: value for name, value in {"kid": self.kid, **(headers or {})}.items() if value is not None}
        return jwt.encode(payload, self.private, self.algorithm, own)


class Issuer:
    """The address of the keys, and how it answers.

    Attributes:
        keys: that it serves. status, body: of the answers; body None: the keys. requests: how many came.
    """

    def __init__(self, keys: list[dict[str, Any]]) -> None:
        self.keys = keys
        self.status = 200
        self.body: bytes | None = None
        self.requests = 0
        self.url = ""


@contextmanager
def serving(*keys: SigningKey) -> Iterator[Issuer]:
    """Serve the keys on a free port of this machine."""
    issuer = Issuer([key.jwk() for key in keys])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            body = issuer.body if issuer.body is not None else json.dumps({"keys": issuer.keys}).encode()
            self.send_response(issuer.status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in its base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
