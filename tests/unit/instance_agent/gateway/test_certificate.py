"""The certificate of the gateway: loaded again when a renewal is complete, refused when it cannot be used."""

import re
import ssl
import subprocess
from pathlib import Path

import pytest

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.certificate import CertificateReloader


def write(folder: Path, *options: str) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *options, "-days", "1",
         "-subj", "/CN=localhost", "-keyout", folder / "key", "-out", folder / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip


def load(folder: Path) -> CertificateReloader:
    database = Database("postgresql://nowhere.invalid/none", application_name="tests")
    return CertificateReloader(database, folder / "crt", folder / "key")


@pytest.fixture
def loaded() -> list[ssl.SSLContext]:
    return []


@pytest.fixture
def reloader(tmp_path: Path, loaded: list[ssl.SSLContext]) -> CertificateReloader:
    write(tmp_path, "-nodes")
    made = load(tmp_path)
    made.on_loaded = loaded.append
    return made


def test_a_renewal_counts_once_both_files_have_settled(
    reloader: CertificateReloader, loaded: list[ssl.SSLContext], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_key = (tmp_path / "key").read_bytes()
    reloader.run_once()
    write(tmp_path, "-nodes")
    new_key = (tmp_path / "key").read_bytes()
    (tmp_path / "key").write_bytes(old_key)
    reloader.run_once()
    (tmp_path / "key").write_bytes(new_key)
    reloader.run_once()
    assert (loaded, caplog.text) == ([], ""), "the renewal was under way"
    for _ in range(3):
        reloader.run_once()
    assert loaded == [reloader.context]


def test_a_broken_certificate_is_refused_once_and_the_last_valid_one_stays(
    reloader: CertificateReloader, loaded: list[ssl.SSLContext], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = reloader.context
    (tmp_path / "crt").write_text("broken")
    for _ in range(4):
        reloader.run_once()
    assert (loaded, reloader.context) == ([], before)
    assert caplog.text.count("certificate_refused") == 1
    assert reloader.problem is not None
    assert str(tmp_path / "crt") in reloader.problem
    write(tmp_path, "-nodes")
    reloader.read_again()
    reloader.run_once()
    assert (loaded, reloader.problem) == ([reloader.context], None)


def test_an_encrypted_key_is_an_error_and_no_question_on_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, "-passout", "pass:secret")
    with pytest.raises(CentralCloudError, match=r"cannot use the key .*/key of the certificate: it is encrypted"):
        load(tmp_path)


def test_an_error_names_the_file_that_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, "-nodes")
    certificate, key = (tmp_path / "crt").read_text(), (tmp_path / "key").read_text()
    write(tmp_path, "-nodes")
    for name, text, words in (
        ("crt", None, f"cannot use the certificate {tmp_path}/crt: No such file or directory"),
        ("key", None, f"cannot use the key {tmp_path}/key: No such file or directory"),
        ("crt", "nothing", f"cannot use the certificate {tmp_path}/crt: found no certificate in it"),
        ("key", certificate, f"cannot use the key {tmp_path}/key of the certificate: found no private key in it"),
        ("key", key, f"{tmp_path}/key: the key is not that of the certificate"),
    ):
        before = (tmp_path / name).read_text()
        (tmp_path / name).unlink()
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(CentralCloudError, match=re.escape(words)):
            load(tmp_path)
        (tmp_path / name).write_text(before)
    load(tmp_path)
