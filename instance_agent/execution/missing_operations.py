"""Operations that a provider does not have: its answer says so, and says nothing about its other operations. Pure."""

import re
from collections import OrderedDict
from typing import Final

from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.targets import CallTarget
from instance_agent.providers.errors import ProviderError

#: How long a target is passed over for an operation that it does not have.
_REMEMBERED_SECONDS: Final = 600.0
_MOST_REMEMBERED: Final = 4096
_MISSING_STATUSES: Final = (404, 405, 501)
#: Words of services about an address that they do not have; LM Studio says so with status 200.
_NO_SUCH_ADDRESS: Final = re.compile(r"unexpected endpoint or method|invalid url|unknown request url", re.IGNORECASE)
_NO_SUCH_MODEL: Final = frozenset({"model_not_found", "deploymentnotfound"})


class MissingOperationError(UnsupportedFeatureError):
    """A provider does not have the operation; another one may."""

    def __init__(self, operation: str, provider: str, found: str) -> None:
        super().__init__(f"the operation {operation}", provider)
        self.message = f"{provider} does not have the operation {operation} ({found})"
        self.args = (self.message,)


class MissingOperations:
    """The targets that do not have an operation, for some minutes. For one event loop."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def check(self, request: ExecutionRequest, target: CallTarget, now: float) -> None:
        """Raise MissingOperationError for a target that has said so of late. Chats and embeddings are never asked about."""
        if request.operation == "responses" and self._until.get((target.breaker_key, request.operation), now) > now:
            raise MissingOperationError(request.operation, target.upstream.provider, "as it said a moment ago")

    def reading_of(
        self, request: ExecutionRequest, target: CallTarget, error: ProviderError, now: float
    ) -> ChatError | None:
        """Return the error of an answer that says nothing about the target's other operations; None for any other.

        A 404 to an operation that few services have means that there is none, unless it names the model, which is a matter
        of the catalog, or something that the client has named, such as an earlier response.
        """
        if request.operation != "responses":
            return None
        status, code = error.upstream_status, (error.code or "").lower()
        no_address = _NO_SUCH_ADDRESS.search(error.message) is not None
        if (status not in _MISSING_STATUSES and not no_address) or code in _NO_SUCH_MODEL:
            return None
        if status == 404 and not no_address and (code.endswith("_not_found") or code == "invalid_request_error"):
            return ChatError(error.message, error_kind="caller", status=404, code=error.code)
        if len(self._until) >= _MOST_REMEMBERED:
            self._until.popitem(last=False)
        self._until[target.breaker_key, request.operation] = now + _REMEMBERED_SECONDS
        return MissingOperationError(request.operation, target.upstream.provider, f"it answered HTTP {status}")
