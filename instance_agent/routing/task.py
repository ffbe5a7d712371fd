"""The task of a request: its type and complexity, from the first source that says something. Pure.

Sources, the first one that says something counts, for each field by itself: headers, the body's metadata, the model's name
(auto:complex), and for complexity and task type the classifier.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from centralcloud.contracts import COMPLEXITIES
from centralcloud.contracts.errors import quote
from centralcloud.contracts.task_classifier import Classification, classify, level_of
from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from centralcloud.contracts.text import read_name
from centralcloud.contracts.words import BUILT_IN, word_key
from instance_agent.routing.decision import PREFERENCES, Preference
from instance_agent.routing.errors import RoutingError

Source = Literal["header", "metadata", "model", "classifier", "default"]

HEADER_PREFIX: Final = "x-centralcloud-"
_FIELDS: Final = ("complexity", "task-type", "agent-type", "prefer", "capabilities")
#: Metadata of other systems: the API of the model router service writes its keys in this form.
_METADATA_FIELDS: Final = {
    "complexity": ("complexity",),
    "task-type": ("task_type", "taskType"),
    "agent-type": ("agent_type", "agentType"),
    "prefer": ("prefer",),
    "capabilities": ("capabilities", "requiredCapabilities"),
}
_TAGS_HEADER: Final = f"{HEADER_PREFIX}tags"
_MAX_TAGS: Final = 32
_MAX_NAME_LENGTH: Final = 200
_MAX_CAPABILITIES: Final = 32
_DEFAULT_LEVEL: Final = "medium"
#: Characters of text for a token, and tokens for an image: rough, as every estimate without the model's own tokenizer.
_CHARACTERS_PER_TOKEN: Final = 3.5
_TOKENS_PER_IMAGE: Final = 1_100


class TaskHints(Struct, frozen=True, kw_only=True):
    """The fields that one source of a task sets; None or empty where it says nothing.

    Attributes:
        level: ``simple``, ``medium`` or ``complex``.
        complexity: 1 to 10; None when only the level was given.
        task_type, agent_type: labels of at most 200 characters.
        prefer: ``speed`` or ``cost``.
        capabilities: that a model must have, sorted.
    """

    level: str | None = None
    complexity: int | None = None
    task_type: str | None = None
    agent_type: str | None = None
    prefer: Preference | None = None
    capabilities: tuple[str, ...] = ()


NO_HINTS: Final = TaskHints()


class Task(Struct, frozen=True, kw_only=True):
    """A task, each field from the first source that said something.

    Attributes:
        level, complexity, task_type, agent_type, prefer, capabilities: as in `TaskHints`; the level is always known.
        level_source, type_source: where the level and the task type came from.
        classification: the classifier's answer, if it was asked.
    """

    level: str
    complexity: int | None
    task_type: str | None
    agent_type: str | None
    prefer: Preference | None
    capabilities: tuple[str, ...]
    level_source: Source
    type_source: Source
    classification: Classification | None

    @property
    def classifier(self) -> str | None:
        """Which classifier has answered what the task has of it; two names: the first one the task type. None: none has."""
        found = self.classification
        if found is None:
            return None
        if self.type_source != "classifier":
            return found.classifier
        if self.level_source != "classifier" or found.classifier == found.type_classifier:
            return found.type_classifier
        return f"{found.type_classifier}+{found.classifier}"

    @property
    def confidence(self) -> float | None:
        """The confidence in the task type, 0 to 1; None where the caller named it."""
        return self.classification.confidence if self.classification and self.type_source == "classifier" else None


def hints_from_headers(headers: Mapping[str, str]) -> TaskHints:
    """Return the hints in the headers x-centralcloud-complexity, -task-type, -agent-type, -prefer and -capabilities.

    Args:
        headers: a mapping that finds lower-case names.

    Raises:
        RoutingError: a value is not valid; names the header.
    """
    found = {field: headers.get(HEADER_PREFIX + field) for field in _FIELDS}
    return _hints(found, lambda field: f"header {HEADER_PREFIX}{field}") if any(found.values()) else NO_HINTS


def hints_from_metadata(metadata: Mapping[str, Any] | None, *, strict: bool = True) -> TaskHints:
    """Return the hints in a body's metadata: complexity, task_type, agent_type, prefer, capabilities; others are ignored.

    Args:
        strict: whether a value that is not valid is an error. False: it is left out, as a key with another meaning is: an
            application of OpenAI's may have had metadata of its own with these names.

    Raises:
        RoutingError: a value is not valid; names the key.
    """
    if not metadata:
        return NO_HINTS
    found = {
        field: next((value for name in names if (value := metadata.get(name)) is not None), None)
        for field, names in _METADATA_FIELDS.items()
    }
    if not any(found.values()):
        return NO_HINTS
    try:
        return _hints(found, _metadata_place)
    except RoutingError:
        if strict:
            raise
    return _hints(
        {field: value if _is_valid(field, value) else None for field, value in found.items()}, _metadata_place
    )


def tags_from(headers: Mapping[str, str], metadata: Mapping[str, Any], *, strict: bool = True) -> tuple[str, ...]:
    """Return the tags of a request: of the header x-centralcloud-tags (with commas) and of the metadata (a list, or a text).

    Args:
        strict: as for `hints_from_metadata`.

    Raises:
        RoutingError: a value is not valid; names the header or the key.
    """
    header, own = headers.get(_TAGS_HEADER), metadata.get("tags")
    if not header and not own:
        return ()
    found = {*_labels(header, f"header {_TAGS_HEADER}")}
    try:
        found |= {*_labels(own, "metadata.tags")}
    except RoutingError:
        if strict:
            raise
    return tuple(sorted(found))


def request_type_from_metadata(metadata: Mapping[str, Any]) -> str | None:
    """Return the type of a request as its metadata says; None where it says none, or something else."""
    for name in ("request_type", "requestType") if metadata else ():
        if isinstance(value := metadata.get(name), str) and (label := read_name(value, _MAX_NAME_LENGTH)):
            return label
    return None


def parse_complexity(value: Any, place: str) -> tuple[str, int | None]:
    """Return the level, and the complexity from 1 to 10 if it was given as a number.

    Raises:
        RoutingError: it is neither; names the place.
    """
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and (text := value.strip()).isascii() and text.isdigit() and len(text) <= 2:
        number = int(text)
    if number is not None and 1 <= number <= 10:
        return level_of(number), number
    word = word_key(value) if isinstance(value, str) else None
    if word in COMPLEXITIES:
        return word, None
    if word is not None and not word.isdigit() and (meaning := BUILT_IN.complexity.get(word)):
        return meaning.value, None
    raise RoutingError(
        f"{place}: found {quote(value)}, expected simple, medium, complex, 1 to 10, or a word such as easy or hard"
    )


def resolve_task(
    headers: TaskHints,
    metadata: TaskHints,
    level: str | None,
    text: str | None,
    classifier: TrainedClassifier | None = None,
) -> Task:
    """Return the task of a request.

    Args:
        headers, metadata: the hints of the caller.
        level: that of the model's name, such as auto:complex; None: it names none.
        text: for the classifier, which is asked only for a field that is still open; None or empty: it is not asked.
        classifier: trained by the site; None: the table of words answers.
    """
    number: int | None
    level_source: Source
    if headers.level is not None:
        found_level, number, level_source = headers.level, headers.complexity, "header"
    elif metadata.level is not None:
        found_level, number, level_source = metadata.level, metadata.complexity, "metadata"
    elif level is not None:
        found_level, number, level_source = level, None, "model"
    else:
        found_level, number, level_source = _DEFAULT_LEVEL, None, "default"
    task_type = headers.task_type or metadata.task_type
    type_source: Source = "header" if headers.task_type else "metadata" if task_type else "default"
    classification = None
    if text and (task_type is None or level_source == "default"):
        classification = classify(text, classifier)
        if level_source == "default":
            found_level, number, level_source = classification.level, classification.complexity, "classifier"
        if task_type is None:
            task_type, type_source = classification.task_type, "classifier"
    return Task(
        level=found_level,
        complexity=number,
        task_type=task_type,
        agent_type=headers.agent_type or metadata.agent_type,
        prefer=headers.prefer or metadata.prefer,
        capabilities=headers.capabilities or metadata.capabilities,
        level_source=level_source,
        type_source=type_source,
        classification=classification,
    )


def estimate_tokens(characters: int, images: int = 0) -> int:
    """Return a rough number of tokens for a prompt: 3.5 characters are a token, an image is 1,100."""
    return int(characters / _CHARACTERS_PER_TOKEN) + images * _TOKENS_PER_IMAGE


def _hints(found: Mapping[str, Any], place: Any) -> TaskHints:
    level, number = None, None
    if (value := found["complexity"]) not in (None, ""):
        level, number = parse_complexity(value, place("complexity"))
    prefer = found["prefer"] or None
    if prefer is not None and prefer not in PREFERENCES:
        raise RoutingError(f"{place('prefer')}: found {quote(prefer)}, expected one of {', '.join(PREFERENCES)}")
    return TaskHints(
        level=level,
        complexity=number,
        task_type=_label(found["task-type"], place("task-type")),
        agent_type=_label(found["agent-type"], place("agent-type")),
        prefer=prefer,
        capabilities=_capabilities(found["capabilities"], place("capabilities")),
    )


def _metadata_place(field: str) -> str:
    return f"metadata.{_METADATA_FIELDS[field][0]}"


def _is_valid(field: str, value: Any) -> bool:
    try:
        _hints({**dict.fromkeys(_FIELDS), field: value}, _metadata_place)
    except RoutingError:
        return False
    return True


def _label(value: Any, place: str) -> str | None:
    if value is None or value == "":
        return None
    label = read_name(value, _MAX_NAME_LENGTH) if isinstance(value, str) else None
    if not label:
        raise RoutingError(f"{place}: found {quote(value)}, expected a text of at most {_MAX_NAME_LENGTH} characters")
    return label


def _labels(value: Any, place: str) -> list[str]:
    if value is None or value == "":
        return []
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or len(names) > _MAX_TAGS:
        raise RoutingError(f"{place}: found {quote(value)}, expected at most {_MAX_TAGS} labels")
    return [label for name in names if (label := _label(name.strip() if isinstance(name, str) else name, place))]


def _capabilities(value: Any, place: str) -> tuple[str, ...]:
    names: Iterable[Any] = value.split(",") if isinstance(value, str) else value or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise RoutingError(f"{place}: found {quote(value)}, expected names of capabilities")
    found = sorted({name.strip() for name in names if name.strip()})
    if len(found) > _MAX_CAPABILITIES or any(len(name) > _MAX_NAME_LENGTH for name in found):
        raise RoutingError(f"{place}: found {len(found)} names, expected at most {_MAX_CAPABILITIES} short ones")
    return tuple(found)
