"""The names of the metrics on the wire, from the page that a test compares with the programs."""

import re

from support.repository import REPOSITORY

_PAGE = REPOSITORY / "docs/reference/metrics.md"
_ON_THE_WIRE = {"gauge": ("",), "counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}

#: Finds the names in an expression.
NAMES = re.compile(r"\b(?:centralcloud|instance_agent|model_router)_\w+")
METRICS = frozenset(
    name + ending
    for name, kind in re.findall(r"^\| `(\w+)` \| (gauge|counter|info|histogram)", _PAGE.read_text(), re.MULTILINE)
    for ending in _ON_THE_WIRE[kind]
)
