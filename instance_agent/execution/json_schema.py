"""A check of a JSON value against the structure that a JSON schema asks for.

The schema comes from a client and is checked in the event loop, so the check is bounded: no regular expressions (`pattern`
may take for ever), no addresses to load, a limit of steps, in which the lengths of lists and texts count. Keywords that
are not known here are not checked, so a difference that is reported is one, and some are not reported. The keywords are
those of structured outputs: type, enum, const, required, properties, additionalProperties, items, prefixItems, anyOf, oneOf,
allOf and local $ref.
"""

from typing import Any, Final

from msgspec import Struct

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int, float),
}
_MOST_STEPS: Final = 20_000
_DEEPEST: Final = 60
#: Characters of a text, and names or values that are only looked at, that cost as much as a step.
_CHARACTERS_A_STEP: Final = 1000
_NAMES_A_STEP: Final = 10


class _OutOfStepsError(Exception):
    pass


class _Enum(Struct, frozen=True):
    """The values of one `enum`: scalars are looked up, others are compared one by one."""

    scalars: frozenset[tuple[bool, Any]]
    others: tuple[Any, ...]


def first_difference(value: Any, schema: Any) -> str | None:
    """Return the first difference in one line, without values of the answer; None when there is none that is checked."""
    try:
        return _Check(schema).differs(value, schema, "$", 0)
    except _OutOfStepsError:
        return None


class _Check:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0
        self._enums: dict[int, _Enum] = {}  # by the id of the list, which `root` keeps alive
        self._references: dict[str, Any] = {}

    def differs(self, value: Any, schema: Any, where: str, depth: int) -> str | None:
        self._spend(1, depth)
        if schema is False:
            return f"{where} is not allowed"
        if not isinstance(schema, dict):
            return None
        found = self._basic(value, schema, where)
        if found is None and isinstance(value, dict):
            found = self._object(value, schema, where, depth)
        elif found is None and isinstance(value, list):
            found = self._array(value, schema, where, depth)
        return found or self._combined(value, schema, where, depth)

    def _spend(self, steps: int, depth: int = 0) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS or depth > _DEEPEST:
            raise _OutOfStepsError

    def _basic(self, value: Any, schema: dict[str, Any], where: str) -> str | None:
        given = schema.get("type")
        types: list[Any] = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        self._spend(len(types))
        known = [each for each in types if isinstance(each, str) and each in _TYPES]
        if known and len(known) == len(types) and not any(_is(value, each) for each in known):
            return f"{where} is not of the type {' or '.join(dict.fromkeys(known))}"
        if isinstance(schema.get("enum"), list) and not self._is_one_of(value, schema["enum"]):
            return f"{where} is not one of the values of enum"
        if "const" in schema and not self._equal(value, schema["const"], 0):
            return f"{where} is not the value of const"
        return None

    def _is_one_of(self, value: Any, values: list[Any]) -> bool:
        known = self._enums.get(id(values))
        if known is None:
            self._spend(len(values) // _NAMES_A_STEP)
            known = self._enums[id(values)] = _Enum(
                frozenset(_scalar(each) for each in values if not isinstance(each, dict | list)),
                tuple(each for each in values if isinstance(each, dict | list)),
            )
        if not isinstance(value, dict | list):
            return _scalar(value) in known.scalars
        return any(self._equal(value, each, 0) for each in known.others)

    def _equal(self, value: Any, other: Any, depth: int) -> bool:
        """Whether two values of JSON are equal: True is not 1."""
        self._spend(1, depth)
        if isinstance(value, dict) and isinstance(other, dict):
            return len(value) == len(other) and all(
                name in other and self._equal(each, other[name], depth + 1) for name, each in value.items()
            )
        if isinstance(value, list) and isinstance(other, list):
            return len(value) == len(other) and all(
                self._equal(each, its, depth + 1) for each, its in zip(value, other, strict=True)
            )
        if isinstance(value, dict | list) or isinstance(other, dict | list):
            return False
        if isinstance(value, str):
            self._spend(len(value) // _CHARACTERS_A_STEP)
        return _scalar(value) == _scalar(other)

    def _object(self, value: dict[str, Any], schema: dict[str, Any], where: str, depth: int) -> str | None:
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        self._spend((len(required) + len(properties) + len(value)) // _NAMES_A_STEP)
        for name in required:
            if isinstance(name, str) and name not in value:
                return f"{where} has no {name[:100]!r}"
        for name, inside in properties.items():
            if name in value:
                found = self.differs(value[name], inside, f"{where}.{name[:100]}", depth + 1)
                if found:
                    return found
        others = schema.get("additionalProperties")
        if others is not None and "patternProperties" not in schema:
            for name in value:
                if name not in properties:
                    found = self.differs(value[name], others, f"{where} with an additional property", depth + 1)
                    if found:
                        return found
        return None

    def _array(self, value: list[Any], schema: dict[str, Any], where: str, depth: int) -> str | None:
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        for index, item in enumerate(value):
            inside = first[index] if index < len(first) else schema.get("items")
            found = self.differs(item, inside, f"{where}[{index}]", depth + 1)
            if found:
                return found
        return None

    def _combined(self, value: Any, schema: dict[str, Any], where: str, depth: int) -> str | None:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found = self.differs(value, self._resolve(reference), where, depth + 1)
            if found:
                return found
        for keyword in ("anyOf", "oneOf"):  # of oneOf, only that one fits: unknown keywords may tell two apart
            choices = schema.get(keyword)
            if not isinstance(choices, list) or not choices:
                continue
            if all(self.differs(value, choice, where, depth + 1) for choice in choices):
                return f"{where} fits none of {keyword}"
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            found = self.differs(value, part, where, depth + 1)
            if found:
                return found
        return None

    def _resolve(self, reference: str) -> Any:
        if reference not in self._references:
            self._references[reference] = self._at(reference)
        return self._references[reference]

    def _at(self, reference: str) -> Any:
        if not reference.startswith("#"):
            return True
        steps = reference[1:].split("/")[1:]
        self._spend(len(steps))
        inside = self._root
        for step in steps:
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(inside, dict) or step not in inside:
                return True
            inside = inside[step]
        return inside


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _scalar(value: Any) -> tuple[bool, Any]:
    """Return what two equal scalars of JSON have in common: 1 and 1.0 are equal, True and 1 are not."""
    return isinstance(value, bool), value
