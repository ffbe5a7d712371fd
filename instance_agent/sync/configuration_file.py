"""The file of the fleet's configuration: the last good copy, for a start while the database is unavailable."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from centralcloud.contracts.fleet_configuration import EntryKey, canonical_json
from centralcloud.runtime.bounded_file import read_bounded, replace_file
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

_FILE_NAME: Final = "fleet_configuration.json"
#: Twice the largest configuration: names and brackets come to its entries.
_MAX_BYTES: Final = 64_000_000
#: Raised when a reader of the format before would misread the file.
_FORMAT: Final = 1


def _no_entries() -> Mapping[EntryKey, Mapping[str, Any]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedConfiguration:
    """The entries of the configuration, as they were received.

    Attributes:
        epoch: names the history of the database; None: nothing was received yet.
        version: the cursor after which the next poll reads.
        stamp: of that version in that history; None for version 0.
        bodies: the JSON form of every entry.
    """

    epoch: str | None = None
    version: int = 0
    stamp: str | None = None
    bodies: Mapping[EntryKey, Mapping[str, Any]] = field(default_factory=_no_entries)


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    epoch: str
    version: int
    stamp: str | None
    entries: list[tuple[str, str, dict[str, Any]]]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    sha256: str
    configuration: msgspec.Raw


class ConfigurationFile:
    """The file of the fleet's configuration. Replaced atomically; readable by its owner only; has hashes of keys, no key."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE_NAME

    def read(self) -> ReceivedConfiguration:
        """Return the configuration in the file. A missing, damaged or huge file counts as empty: the database has it all."""
        try:
            return _decode(read_bounded(self.path, _MAX_BYTES))
        except FileNotFoundError:
            return ReceivedConfiguration()
        except (OSError, ValueError, RecursionError) as error:
            log.warning("configuration_file_unreadable", path=str(self.path), reason=str(error), effect="it is ignored")
            return ReceivedConfiguration()

    def write(self, state: ReceivedConfiguration) -> None:
        """Replace the file in one step.

        Raises:
            OSError: the file cannot be written, or would be larger than `read` accepts; the old content stays.
        """
        entries = [(kind, entry_id, dict(body)) for (kind, entry_id), body in sorted(state.bodies.items())]
        content = _Content(epoch=state.epoch or "", version=state.version, stamp=state.stamp, entries=entries)
        text = canonical_json(content)
        file = _File(format=_FORMAT, sha256=hashlib.sha256(text).hexdigest(), configuration=msgspec.Raw(text))
        replace_file(self.path, msgspec.json.encode(file), _MAX_BYTES)

    def touch(self) -> None:
        """Record that the database was reached now: the time of the file's last change. A file that is missing stays so."""
        try:
            os.utime(self.path)
        except OSError:
            return  # the next change writes it, or reports why it cannot

    def touched_at(self) -> float | None:
        """Return when the database was last reached, in seconds of `time.time`; None without a file."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return None


def _decode(data: bytes) -> ReceivedConfiguration:
    file = msgspec.json.decode(data, type=_File)
    if file.format != _FORMAT:
        raise ValueError(f"found format {file.format}, expected {_FORMAT}")
    text = bytes(file.configuration)
    if hashlib.sha256(text).hexdigest() != file.sha256:
        raise ValueError("the checksum differs: the file was changed or damaged")
    content = msgspec.json.decode(text, type=_Content)
    bodies = {(kind, entry_id): body for kind, entry_id, body in content.entries}
    return ReceivedConfiguration(
        epoch=content.epoch or None, version=content.version, stamp=content.stamp, bodies=MappingProxyType(bodies)
    )
