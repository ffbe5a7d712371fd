"""A check of a JSON value against the structure that a JSON schema asks for.

The schema comes from a client and is checked in the event loop, so the check is bounded: no regular expressions (`pattern`
may take for ever), no addresses to load, a limit of steps. Keywords that are not known here are not checked, so a difference
that is reported is one, and some are not reported. The keywords are those of structured outputs: type, enum, const,
required, properties, additionalProperties, items, prefixItems, anyOf, oneOf, allOf and local $ref.
"""

from typing import Any, Final

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


class _OutOfStepsError(Exception):
    pass


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

    def differs(self, value: Any, schema: Any, where: str, depth: int) -> str | None:
        self._steps += 1
        if self._steps > _MOST_STEPS or depth > _DEEPEST:
            raise _OutOfStepsError
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

    def _basic(self, value: Any, schema: dict[str, Any], where: str) -> str | None:
        given = schema.get("type")
        types: list[Any] = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        if types and all(each in _TYPES for each in types) and not any(_is(value, each) for each in types):
            return f"{where} is not of the type {' or '.join(types)}"
        if isinstance(schema.get("enum"), list) and not any(_equal(value, each) for each in schema["enum"]):
            return f"{where} is not one of the values of enum"
        if "const" in schema and not _equal(value, schema["const"]):
            return f"{where} is not the value of const"
        return None

    def _object(self, value: dict[str, Any], schema: dict[str, Any], where: str, depth: int) -> str | None:
        required = schema.get("required")
        for name in required if isinstance(required, list) else ():
            if isinstance(name, str) and name not in value:
                return f"{where} has no {name[:100]!r}"
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
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
        if not reference.startswith("#"):
            return True
        inside = self._root
        for step in reference[1:].split("/")[1:]:
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


def _equal(value: Any, other: Any) -> bool:
    """Whether two values of JSON are equal: True is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)
