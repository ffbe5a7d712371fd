"""A reservation: the worst case of a call, held until it is known what the call cost. Pure."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeAlias

from instance_agent.spend.account import Account, Slice
from instance_agent.spend.refusal import Refusal

#: An account and an amount of it.
Part: TypeAlias = tuple[Account, int]
OnSettled: TypeAlias = Callable[[Sequence[Account]], object]


class Reservation:
    """The worst case of one call. Settle it once; in a `with` block it cannot be forgotten.

    Attributes:
        amount: reserved of each account.
        is_open: whether it is not settled yet.
    """

    __slots__ = ("_accounts", "_on_settled", "_slices", "amount", "is_open")

    def __init__(
        self, accounts: Sequence[Account], slices: Sequence[Slice], amount: int, on_settled: OnSettled
    ) -> None:
        """Create it; the caller has taken the amount of each slice.

        Args:
            slices: of `accounts`, at this moment: what is settled after the end of a period counts in it.
        """
        self.amount = amount
        self.is_open = True
        self._accounts = accounts
        self._slices = slices
        self._on_settled = on_settled

    def settle(self, spent: int, *, estimated: bool = False) -> None:
        """Report what the call cost, in the unit of the reservation; a second time it does nothing.

        Args:
            spent: at least 0. More than was reserved counts, too: the next reservations have less.
            estimated: the provider did not say: a stream that its client left, an answer without a usage.
        """
        if not self.is_open:
            return
        self.is_open = False
        for held in self._slices:
            held.settle(self.amount, spent, estimated=estimated)
        self._on_settled(self._accounts)

    def cancel(self) -> None:
        """Return all of it: the call was not sent, or was refused at no cost."""
        self.settle(0)

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle what the block has not settled at its worst case, estimated: the bound holds whatever went wrong."""
        if self.is_open:
            self.settle(self.amount, estimated=True)


class RateReservation(Reservation):
    """One request of a rate limit, with its tokens: the first slice has the request, the second one the tokens."""

    __slots__ = ()

    def settle(self, spent: int, *, estimated: bool = False) -> None:
        """Report the tokens that were used; the request counts in any case."""
        self._end(1, spent, estimated=estimated)

    def cancel(self) -> None:
        """Return the request and its tokens: it was refused before it was sent anywhere."""
        self._end(0, 0, estimated=False)

    def _end(self, requests: int, tokens: int, *, estimated: bool) -> None:
        if not self.is_open:
            return
        self.is_open = False
        for number, held in enumerate(self._slices):
            if number:
                held.settle(self.amount, tokens, estimated=estimated)
            else:
                held.settle(1, requests, estimated=False)
        self._on_settled(self._accounts)


#: A reservation, or why there is none.
Outcome: TypeAlias = Reservation | Refusal
