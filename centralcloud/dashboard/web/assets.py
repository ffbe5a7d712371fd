"""The files for browsers: one style sheet, one script, one icon, each under an address that changes with its content."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_FOLDER: Final = "static"
_TYPES: Final = {
    "dashboard.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `tag`: the first digits of its SHA-256."""

    body: bytes
    content_type: str
    tag: str


class Assets:
    """All files, read once."""

    def __init__(self) -> None:
        folder = files("centralcloud.dashboard") / _FOLDER
        sheets = sorted((each for each in folder.iterdir() if each.name.endswith(".css")), key=lambda each: each.name)
        bodies = {
            # style.css comes last in the alphabet, and the rules of the parts stand on no order between them.
            "dashboard.css": b"\n".join(each.read_bytes() for each in sheets),
            "live.js": (folder / "live.js").read_bytes(),
            "icon.svg": (folder / "icon.svg").read_bytes(),
        }
        self._assets = {
            name: Asset(body, _TYPES[name], hashlib.sha256(body).hexdigest()[:12]) for name, body in bodies.items()
        }

    def url(self, name: str) -> str:
        """Return the address of a file."""
        return f"/static/{self._assets[name].tag}/{name}"

    def get(self, name: str) -> Asset | None:
        """Return a file; None for an unknown name."""
        return self._assets.get(name)
