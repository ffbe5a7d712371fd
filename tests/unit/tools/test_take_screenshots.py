"""The pictures of the dashboard: those that the README and docs/ show are those that the tool takes."""

import re
import struct
import sys
import zlib
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
from support.repository import REPOSITORY

_PROGRAM = REPOSITORY / "tools/take_screenshots.py"
_IMAGES = REPOSITORY / "docs/images"


@pytest.fixture(scope="module")
def take_screenshots() -> ModuleType:
    spec = spec_from_file_location("take_screenshots", _PROGRAM)
    assert spec
    assert spec.loader
    module = sys.modules["take_screenshots"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_that_a_page_shows_is_one_that_the_tool_takes(take_screenshots: ModuleType) -> None:
    taken = {f"{picture.name}.png" for picture in take_screenshots.PICTURES}
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([\w-]+\.png)", page.read_text())}
    assert len(taken) == len(take_screenshots.PICTURES) == 5
    assert shown <= taken
    assert {file.name for file in _IMAGES.glob("*.png")} == taken, "run `make screenshots`"


def test_the_pictures_are_small_and_have_a_palette(take_screenshots: ModuleType) -> None:
    for picture in take_screenshots.PICTURES:
        content = (_IMAGES / f"{picture.name}.png").read_bytes()
        width, _, depth, kind = struct.unpack(">IIBB", content[16:26])
        assert (depth, kind) == (8, 3), picture.name
        assert len(content) < 150_000, picture.name
        assert width == picture.width or picture.select, picture.name


def test_a_picture_is_a_png_of_its_pixels(take_screenshots: ModuleType) -> None:
    png = take_screenshots.as_png(2, 2, [[0, 0, 0], [255, 0, 0]], bytes([0, 1, 1, 0]))
    assert png.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    assert zlib.decompress(png[start + 4 : start + 4 + length]) == bytes([0, 0, 1, 0, 1, 0])
    assert png[start + 4 + length :][:4] == struct.pack(">I", zlib.crc32(png[start : start + 4 + length]))
