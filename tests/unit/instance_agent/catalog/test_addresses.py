"""Addresses that a catalog may name: every form of a metadata or link-local address is refused."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralcloud.contracts.fleet_configuration import PRIVATE_ALLOWED, refusal_of
from instance_agent.catalog.addresses import base_of, check_url


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.1.1",
        "http://0xA9FEA9FE/",
        "http://2852039166/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://169.16689662/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://0.0.0.0:8080/",
        "http://[::]/",
        "http://224.0.0.1/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA.google.internal./",
    ],
)
def test_a_metadata_or_link_local_address_is_refused_in_every_form(url: str) -> None:
    with pytest.raises(ValueError, match="expected another host: this one is"):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://models.example/", "begins with http"),
        ("//models.example/v1", "begins with http"),
        ("https:///v1", "has a host"),
        ("https://user:secret@models.example/v1", "without credentials: keys"),
        ("https://models.example/v1#part", "without a fragment"),
        ("https://models.example/ v1", "without spaces"),
        ("https://models.example/\nv1", "without spaces"),
        ("https://models.example:99999/v1", "expected a URL like"),
        ("https://models.example:0/v1", "begins with http"),
        ("https://[::1/v1", "expected a URL like"),
        ("https://models.example/" + "x" * 3000, "1 to 2048"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://localhost:1234/v1/", "http://localhost:1234/v1"),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("http://10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://1.example.com/v1", "https://1.example.com/v1"),
        ("https://models.example/v1?api-version=2", "https://models.example/v1?api-version=2"),
    ],
)
def test_a_public_a_private_and_a_loopback_address_are_kept(url: str, kept: str) -> None:
    assert check_url(url) == kept


@given(st.integers(0, 0xFFFF))
def test_every_spelling_of_a_link_local_address_is_refused(low: int) -> None:
    address = ipaddress.IPv4Address(0xA9FE0000 + low)
    a, b, c, d = address.packed
    spellings = (
        str(address), str(int(address)), hex(int(address)), f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"{a}.{b}.{c * 256 + d}",
        f"[::ffff:{address}]",
    )  # fmt: skip
    for host in spellings:
        with pytest.raises(ValueError, match=r"link-local|unusual notation"):
            check_url(f"http://{host}/v1")
    assert refusal_of(address, PRIVATE_ALLOWED)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/embeddings", "https://api.openai.com/v1"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
    ],
)
def test_the_path_of_an_operation_is_not_part_of_the_base_url(url: str, base: str) -> None:
    assert base_of(url) == base
