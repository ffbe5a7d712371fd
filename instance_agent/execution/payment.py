"""The payment of attempts: the most that a call may cost is reserved before it, and its cost is settled after it."""

from typing import Protocol

from instance_agent.execution.attempts import Attempt
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest


class Payment(Protocol):
    """The reservation for one attempt. It is settled or cancelled once."""

    def settle(self, attempt: Attempt) -> None:
        """Settle it by the record of the attempt. It must not block."""

    def cancel(self) -> None:
        """Return all of it: no call was made."""


class Payer(Protocol):
    """Reserves for the attempts of one request."""

    def pay_now(self, call: PlannedCall, request: ExecutionRequest) -> Payment | None:
        """Reserve what a call may cost; None: it has to wait, see `pay`.

        Raises:
            PaymentRefusedError: it may not be made.
        """

    async def pay(self, call: PlannedCall, request: ExecutionRequest) -> Payment:
        """Reserve what a call may cost; may wait for some hundred milliseconds. Raises as `pay_now`."""
