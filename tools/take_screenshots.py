#!/usr/bin/env python3
"""Take the pictures of the dashboard that the README and docs/ show, from a demonstration with a fixed seed.

    tools/take_screenshots.py [FOLDER]     # default: docs/images; some two minutes

Runs the real demonstration in a folder of its own, waits until its incident is over, and takes each picture in Debian's
Chromium. The pictures are written with a palette of 256 colors.
"""

import argparse
import base64
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

_ROOT: Final = Path(__file__).resolve().parents[1]
_FLAGS: Final = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
_CHROMIUM: Final = "/usr/bin/chromium"
_DEMO_SECONDS: Final = 180
_INCIDENT_IS_OVER: Final = "succeeds again"
#: After that the fleet has come back.
_SETTLE_SECONDS: Final = 15.0
#: Reads a picture, and returns its colors (at most 256, the nearest of which stands for each) and a byte for each pixel.
_REDUCE: Final = """async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height), pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const data = new Uint32Array(pen.getImageData(0, 0, image.width, image.height).data.buffer);
  const counts = new Map();
  for (const each of data) counts.set(each, (counts.get(each) ?? 0) + 1);
  const parts = (color) => [color & 255, (color >> 8) & 255, (color >> 16) & 255];
  const apart = ([r, g, b], [pr, pg, pb]) => (r - pr) ** 2 + (g - pg) ** 2 + (b - pb) ** 2;
  const palette = [], places = new Map();
  for (const [color] of [...counts].sort((a, b) => b[1] - a[1])) {
    if (palette.length === 256) break;
    if (palette.some((each) => apart(each, parts(color)) < 100)) continue; // room for rare colors
    places.set(color, palette.push(parts(color)) - 1);
  }
  for (const color of counts.keys()) {
    if (places.has(color)) continue;
    let best = 0, least = Infinity;
    palette.forEach((each, place) => {
      const distance = apart(each, parts(color));
      if (distance < least) { least = distance; best = place; }
    });
    places.set(color, best);
  }
  let text = "";
  const chunk = 32768, bytes = Uint8Array.from(data, (each) => places.get(each));
  for (let at = 0; at < bytes.length; at += chunk) text += String.fromCharCode(...bytes.subarray(at, at + chunk));
  return { width: image.width, height: image.height, palette, pixels: btoa(text) };
}"""

#: Where a part of the page is.
_PLACE: Final = """(select) => {
  if (!select) return null;
  const box = document.querySelector(select).getBoundingClientRect();
  return { x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height };
}"""


class Picture(NamedTuple):
    """A picture.

    Attributes:
        name: of the file, without its ending.
        path: of the page.
        select: the part of the page, by CSS; None: what the window shows.
    """

    name: str
    path: str
    width: int
    height: int
    scheme: str
    select: str | None = None


PICTURES: Final = (
    Picture("dashboard-overview", "/", 1440, 1000, "light"),
    Picture("dashboard-traffic", "/?complexity=complex", 1120, 900, "light", "#shares section"),
    Picture("dashboard-pair", "/pair?model=ember-reason&complexity=complex", 1440, 1000, "dark"),
    Picture("dashboard-frontier", "/money", 1440, 900, "light", "section:has(figure.frontier)"),
    Picture("dashboard-phone", "/", 390, 844, "dark"),
)


def main() -> int:
    """Take and write; returns the exit code."""
    parser = argparse.ArgumentParser(description="Take the pictures of the dashboard from a demonstration.")
    parser.add_argument("folder", type=Path, nargs="?", default=_ROOT / "docs/images")
    folder = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sys.stderr.write("take_screenshots: playwright is not installed: run `make screenshots`\n")
        return 1
    if not Path(_CHROMIUM).exists():
        sys.stderr.write(f"take_screenshots: found no {_CHROMIUM}, expected Debian's package chromium\n")
        return 1
    with a_demonstration() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        for picture in PICTURES:
            file = folder / f"{picture.name}.png"
            file.write_bytes(take(browser, url, picture))
            sys.stdout.write(f"{file}: {file.stat().st_size / 1000:,.0f} kB\n")
        browser.close()
    return 0


@contextmanager
def a_demonstration() -> Iterator[str]:
    """Run the demonstration; yield the address of its pages when the incident is over."""
    program = Path(sys.executable).with_name("centralcloud")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "output"
        with log.open("w") as output:
            process = subprocess.Popen(  # noqa: S603
                [program, "demo", "--dashboard", "--seed", "1", "--seconds", str(_DEMO_SECONDS)],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        try:
            _wait_for(_INCIDENT_IS_OVER, log, process)
            time.sleep(_SETTLE_SECONDS)
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
            if found is None:
                raise SystemExit("take_screenshots: the demonstration printed no address of its pages")
            yield found[0]
        finally:
            os.kill(process.pid, signal.SIGINT)
            process.wait()


def _wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    while text not in log.read_text():
        if process.poll() is not None:
            raise SystemExit(f"take_screenshots: the demonstration ended without {text!r}:\n{log.read_text()[-500:]}")
        time.sleep(0.5)


def take(browser: Any, url: str, picture: Picture) -> bytes:
    """Return a picture of a page, as a PNG with a palette."""
    size = {"width": picture.width, "height": picture.height}
    page = browser.new_page(viewport=size, color_scheme=picture.scheme, reduced_motion="reduce", bypass_csp=True)
    page.goto(url + picture.path)
    page.wait_for_selector('#state:text-is("live")', state="attached")
    # By its place, not as an element: an update may replace that meanwhile.
    place = page.evaluate(_PLACE, picture.select)
    shot = base64.b64encode(page.screenshot(full_page=place is not None, clip=place)).decode()
    reduced = page.evaluate(_REDUCE, f"data:image/png;base64,{shot}")
    page.close()
    return as_png(reduced["width"], reduced["height"], reduced["palette"], base64.b64decode(reduced["pixels"]))


def as_png(width: int, height: int, palette: list[list[int]], pixels: bytes) -> bytes:
    """Return a PNG of 8 bits a pixel (ISO/IEC 15948, color type 3); `pixels` are places in the palette, row by row."""
    rows = b"".join(b"\0" + pixels[row * width : (row + 1) * width] for row in range(height))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(part for color in palette for part in color)),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


if __name__ == "__main__":
    sys.exit(main())
