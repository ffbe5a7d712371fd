"""Whether learning is frozen."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class Control(NamedTuple):
    """Whether learning is frozen. `frozen_at`: None: it is not."""

    frozen_at: datetime | None
    frozen_reason: str | None


_READ_CONTROL = Query(__package__, "read_control", row=Control)

CONTROL: Final = Source("control", Tier.SECOND, lambda connection: _READ_CONTROL.one(connection))
