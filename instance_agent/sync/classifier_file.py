"""The trained classifier as it was received, in the state folder, for a start while the database is unavailable."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from centralcloud.contracts.task_classifier.trained import (
    MAX_CLASSIFIER_BYTES,
    ClassifierError,
    TrainedClassifier,
    parse_classifier,
)
from centralcloud.runtime.bounded_file import read_bounded, replace_file
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

_FILE_NAME: Final = "task_classifier.bin"
#: Raised when a reader of the format before would misread the file.
_FORMAT: Final = 1
_MAX_HEAD_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedClassifier:
    """A trained classifier as it was received.

    Attributes:
        version: its number in the fleet; None: none is in use.
        sha256: of `data`; empty without one.
        data: see `centralcloud.contracts.task_classifier.trained`.
    """

    version: int | None = None
    sha256: str = ""
    data: bytes = b""

    def parse(self) -> TrainedClassifier | None:
        """Return the classifier, ready to answer; None: none is in use.

        Raises:
            ClassifierError: it is damaged, or of another version of the program.
        """
        if self.version is None:
            return None
        if hashlib.sha256(self.data).hexdigest() != self.sha256:
            raise ClassifierError("the checksum differs: it was changed or damaged")
        return parse_classifier(self.data, self.version)


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    version: int | None
    sha256: str


class ClassifierFile:
    """The file of the trained classifier. Replaced atomically; readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE_NAME

    def read(self) -> ReceivedClassifier:
        """Return the classifier in the file; a missing, damaged or huge file counts as none: the database has it."""
        return self._read()[0]

    def load(self) -> TrainedClassifier | None:
        """Return the classifier in the file, ready to answer; None without a file that can be used."""
        return self._read()[1]

    def _read(self) -> tuple[ReceivedClassifier, TrainedClassifier | None]:
        try:
            received = _decode(read_bounded(self.path, MAX_CLASSIFIER_BYTES + _MAX_HEAD_BYTES))
            return received, received.parse()
        except FileNotFoundError:
            return ReceivedClassifier(), None
        except (OSError, ValueError, RecursionError, ClassifierError) as error:
            log.warning("classifier_file_unreadable", path=str(self.path), reason=str(error), effect="it is ignored")
            return ReceivedClassifier(), None

    def write(self, state: ReceivedClassifier) -> None:
        """Replace the file in one step.

        Raises:
            OSError: the file cannot be written; the old content stays.
        """
        head = msgspec.json.encode(_Head(format=_FORMAT, version=state.version, sha256=state.sha256))
        replace_file(self.path, head + b"\n" + state.data, MAX_CLASSIFIER_BYTES + _MAX_HEAD_BYTES)


def _decode(content: bytes) -> ReceivedClassifier:
    line, _, data = content.partition(b"\n")
    head = msgspec.json.decode(line[:_MAX_HEAD_BYTES], type=_Head)
    if head.format != _FORMAT:
        raise ValueError(f"found format {head.format}, expected {_FORMAT}")
    return ReceivedClassifier(version=head.version, sha256=head.sha256, data=data)
