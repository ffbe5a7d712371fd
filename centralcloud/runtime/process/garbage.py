"""The garbage collector of a program that starts."""

import gc
from typing import Final

_COLLECT_AFTER: Final = 20_000


def collect_seldom() -> None:
    """Collect garbage after 20,000 new objects instead of 700, until a program that runs for long sets its own number.

    Imports make many objects and no garbage. Looking for it again and again is a tenth of the time of a short command.
    """
    gc.set_threshold(_COLLECT_AFTER)
