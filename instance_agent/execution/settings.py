"""Settings of the execution of requests."""

from msgspec import Struct

from instance_agent.execution.validators import AnswerChecks
from instance_agent.execution.walk import WalkSettings


class ExecutionSettings(Struct, frozen=True, kw_only=True):
    """Settings of an executor.

    Attributes:
        walk: bounds of attempts and times.
        checks: of answers, for learning.
        next_on_defect: an answer with a defect is not given to the client while another target can be tried, once: both
            answers are paid for. Whole answers only. Off by default.
        keep_alive_seconds: a comment so often before the first token of a stream, so that load balancers do not cut the
            connection; None: never. The first one fixes the status 200: a later failure is an error event of the stream.
    """

    walk: WalkSettings = WalkSettings()
    checks: AnswerChecks = AnswerChecks()
    next_on_defect: bool = False
    keep_alive_seconds: float | None = None
