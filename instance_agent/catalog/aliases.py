"""Aliases: names that clients send, and the models that they stand for. Pure."""

import re
from collections.abc import Collection, Mapping
from fnmatch import translate
from typing import Final

#: Names that stand for a choice instead of a model.
AUTO: Final = "auto"
AUTO_NAMES: Final = (AUTO, "auto:simple", "auto:medium", "auto:complex")
_MAX_PATTERNS: Final = 1000
_MAX_PATTERN_LENGTH: Final = 200
#: Resolved names that are remembered, so that a pattern is matched once for each name.
_MAX_RESOLVED: Final = 1000


class AliasError(ValueError):
    """An alias that cannot be used.

    Attributes:
        pattern: the alias, as the catalog names it.
    """

    def __init__(self, pattern: str, problem: str) -> None:
        super().__init__(problem)
        self.pattern = pattern


class Aliases:
    """The aliases of a catalog. Immutable, but for the names that it remembers."""

    def __init__(self, table: Mapping[str, str], models: Collection[str], providers: Collection[str] = ()) -> None:
        """Check and prepare aliases.

        Args:
            table: a target for each pattern. A pattern is a name, or a glob with ``*``, ``?`` and ``[...]``; the first glob
                that matches counts. A target is a model, ``auto``, ``auto:COMPLEXITY``, ``PROVIDER/MODEL`` or another alias.
            models: the names of the catalog's models. A model of the same name comes before an alias.
            providers: the names of its providers.

        Raises:
            AliasError: a target is unknown, aliases form a cycle, or there are too many.
        """
        self._models = models
        self._providers = providers
        self._exact = {pattern: target for pattern, target in table.items() if not _is_glob(pattern)}
        self._globs = [
            (re.compile(translate(pattern)), pattern, target) for pattern, target in table.items() if _is_glob(pattern)
        ]
        self._resolved: dict[str, str | None] = {}
        if len(table) > _MAX_PATTERNS:
            raise AliasError(next(iter(table)), f"expected at most {_MAX_PATTERNS} aliases, found {len(table)}")
        for pattern, target in table.items():
            if not 0 < len(pattern) <= _MAX_PATTERN_LENGTH:
                raise AliasError(pattern, f"expected a pattern of 1 to {_MAX_PATTERN_LENGTH} characters")
            self._follow(pattern, target)

    def resolve(self, name: str) -> str | None:
        """Return the target of a name that is not one of a model; None when no alias matches."""
        try:
            return self._resolved[name]
        except KeyError:
            pass
        found = self._match(name)
        target = None if found is None else self._follow(*found)
        if len(self._resolved) >= _MAX_RESOLVED:
            self._resolved.clear()
        self._resolved[name] = target
        return target

    def plain(self) -> dict[str, str]:
        """Return the aliases that are names, without patterns, with their targets."""
        return dict(self._exact)

    def patterns(self) -> list[str]:
        """Return the aliases in their order: names, and then patterns."""
        return [*self._exact, *(pattern for _expression, pattern, _target in self._globs)]

    def _match(self, name: str) -> tuple[str, str] | None:
        if (target := self._exact.get(name)) is not None:
            return name, target
        for expression, pattern, target in self._globs:
            if expression.match(name):
                return pattern, target
        return None

    def _follow(self, pattern: str, target: str) -> str:
        """Return the model, or the kind of choice, at the end of a chain of aliases."""
        path, used = [pattern], {pattern}
        while not self._is_final(target):
            path.append(target)
            following = self._match(target)
            if following is None:
                raise AliasError(pattern, "expected a model of the catalog, auto, PROVIDER/MODEL or another alias")
            pattern, target = following
            if pattern in used:
                raise AliasError(path[0], f"expected an alias without a cycle, found {' -> '.join([*path, target])}")
            used.add(pattern)
        return target

    def _is_final(self, target: str) -> bool:
        if target in self._models or target in AUTO_NAMES:
            return True
        provider, separator, model = target.partition("/")
        return bool(separator and model) and provider in self._providers


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")
