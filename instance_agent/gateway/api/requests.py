"""Requests to /api: their JSON, their errors as 422 with the path of the field, and their answers."""

import functools
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from centralcloud.contracts import ContractError
from centralcloud.contracts.errors import quote
from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.json_body import decode
from instance_agent.gateway.bodies import read_apart
from instance_agent.gateway.errors import InvalidFieldError
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import PlanError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Begins the path of a field in the errors of parsers; the answer names the path inside the body.
BODY: Final = "body"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENCODER: Final = msgspec.json.Encoder()
_ANY: Final = msgspec.json.Decoder()
#: The id of an answer of /api/route is this and the id of the request.
ANSWER_PREFIX: Final = "response-"


def api_handler(handler: Handler) -> Handler:
    """Return the handler with the errors of contracts and hints as 422, with the path of the field."""

    @functools.wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ContractError as error:
            raise invalid_field(error) from None
        except InvalidRequestError as error:
            if error.param is None or isinstance(error, InvalidFieldError):
                raise
            raise InvalidFieldError(error.param, error.message) from None
        except PlanError:
            raise  # the request is valid, and no model can take it
        except RoutingError as error:
            field, _, rest = str(error).partition(": ")
            raise InvalidFieldError(field if rest else None, str(error)) from None

    return handle


def invalid_field(error: ContractError) -> InvalidFieldError:
    """Return the error of a field of a body."""
    text = str(error)
    field = error.field
    if field == BODY or field.startswith((f"{BODY}.", f"{BODY}[")):
        field = field.removeprefix(BODY).removeprefix(".")
        text = text.removeprefix(BODY).removeprefix(".") if field else text
    return InvalidFieldError(field or None, text)


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the body of a request.

    Raises:
        InvalidRequestError: 400, it is not JSON.
        InvalidFieldError: 422, it is not an object.
    """
    value = await read_apart(lambda body: decode(body, _ANY), await request.read())
    if not isinstance(value, dict):
        raise InvalidFieldError(None, f"body: found {quote(value)}, expected a JSON object")
    return value


def only_fields(value: Mapping[str, Any], known: Collection[str], path: str = "") -> None:
    """Raise InvalidFieldError for a field that is not known; it names its path."""
    for name in value:
        if name not in known:
            field = f"{path}.{name}" if path else name
            expected = f"one of the fields {', '.join(known)}"
            raise InvalidFieldError(field, f"{field}: found {quote(value[name])}, expected {expected}")


def text_field(value: Mapping[str, Any], name: str, path: str = "", *, longest: int = 200) -> str | None:
    """Return a text of an object, None without one; raise InvalidFieldError for another value."""
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 1 <= len(found) <= longest:
        field = f"{path}.{name}" if path else name
        shown = f"a text of {len(found):,} characters" if isinstance(found, str) and found else quote(found)
        raise InvalidFieldError(field, f"{field}: found {shown}, expected a text of 1 to {longest:,} characters")
    if "\0" in found:  # the database cannot store it
        field = f"{path}.{name}" if path else name
        raise InvalidFieldError(field, f"{field}: found a zero character, expected text without it")
    return found


def object_field(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object of an object, an empty one without it; raise InvalidFieldError for another value."""
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidFieldError(name, f"{name}: found {quote(found)}, expected an object")
    return found


def filters(request: web.Request, known: Collection[str]) -> dict[str, list[str]]:
    """Return the query parameters; raise InvalidFieldError for one that is not known."""
    for name, value in request.query.items():
        if name not in known:
            raise InvalidFieldError(
                name, f"{name}: found {quote(value)}, expected one of the filters {', '.join(known)}"
            )
    return {name: request.query.getall(name) for name in known if name in request.query}


def request_id_of(text: Any, field: str) -> str:
    """Return the id of a request, which an answer of /api/route has after a prefix.

    Raises:
        InvalidRequestError: it is not a UUID.
    """
    found = text.removeprefix(ANSWER_PREFIX).lower() if isinstance(text, str) else ""
    if not _UUID.fullmatch(found):
        raise InvalidRequestError(
            f"{field}: found {quote(text)}, expected the UUID in the header x-centralcloud-request-id of the answer",
            param=field,
        )
    return found


def json_answer(body: Any, status: int = 200, **headers: str) -> web.Response:
    """Return an answer of JSON; names of headers with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        status=status, body=_ENCODER.encode(body), headers={"content-type": "application/json", **named}
    )
