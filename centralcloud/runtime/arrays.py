"""numpy, imported when the first array is made.

Its import takes a fourth of the time in which a command starts, and most commands make no array: they only read the settings
of the rules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Booleans = NDArray[np.bool_]
else:

    class _ImportedWhenUsed:
        def __getattr__(self, name: str) -> Any:
            value = getattr(import_module("numpy"), name)
            setattr(self, name, value)  # found without this method from now on
            return value

    np = _ImportedWhenUsed()
    Floats = Integers = Booleans = Any

__all__ = ["Booleans", "Floats", "Integers", "np"]
