"""The recording of the demonstration: a self-contained SVG whose frames are those of the live view."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from xml.etree import ElementTree

import pytest
from rich.text import Text
from support.repository import REPOSITORY

_PROGRAM = REPOSITORY / "tools/record_demo.py"
_RECORDING = REPOSITORY / "docs/images/demo.svg"
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def record_demo() -> ModuleType:
    spec = spec_from_file_location("record_demo", _PROGRAM)
    assert spec
    assert spec.loader
    module = sys.modules["record_demo"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_recording_shows_each_frame_once_and_shares_equal_lines(record_demo: ModuleType) -> None:
    same, chart = Text.assemble(("a < b & c", "bold bright_cyan")), Text.assemble(("⣿", "bright_yellow"))
    frames = [[same, Text("first")], [same, chart], [same, Text("★ ■■■ 12%")]]
    root = ElementTree.fromstring(record_demo.animate(frames))
    lines = {line.get("id"): "".join(line.itertext()) for line in root.find(f"{_SVG}defs").findall(f"{_SVG}g")}  # type: ignore[union-attr]
    strips = root.findall(f".//{_SVG}g[@id='frames']/{_SVG}g")
    shown = [[lines[use.attrib["href"][1:]] for use in strip] for strip in strips]
    assert shown == [["a < b & c", "first"], ["a < b & c", ""], ["a < b & c", "12%"]]
    assert list(lines.values()).count("a < b & c") == 1
    dots = root.findall(f".//{_SVG}path[@class='d c4']")
    assert [path.attrib["d"].count("h0") for path in dots] == [8]


def test_the_recording_in_the_repository_needs_nothing_else(record_demo: ModuleType) -> None:
    text = _RECORDING.read_text()
    root = ElementTree.fromstring(text)
    assert len(text.encode()) < 500_000
    assert root.findtext(f"{_SVG}title")
    assert not re.search(
        r"<script|<image|<foreignObject|@font-face|@import|url\((?!#)|https?://(?!www\.w3\.org/2000/svg)", text
    )
    written = " ".join("".join(element.itertext()) for element in root.iter(f"{_SVG}text"))
    for fact in (
        "5 of 5 routers in sync",
        "INCIDENT: ember-reason",
        "best possible 98.2%",
        "ember-reason succeeds again",
    ):
        assert fact in written
    length = float(re.search(r"animation:play ([\d.]+)s", text)[1])  # type: ignore[index]
    assert 15 <= length <= 35
