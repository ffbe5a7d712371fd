"""The form of a POST, as browsers send it."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

_TYPE: Final = "application/x-www-form-urlencoded"


async def read_form(request: web.Request) -> Mapping[str, Any]:
    """Return the fields of a form; none without a body.

    Raises:
        web.HTTPUnsupportedMediaType: the body is none of a form without files: the pages have no other ones.
        web.HTTPBadRequest: it is not in the encoding that it names.
    """
    if await request.read() and request.content_type != _TYPE:
        raise web.HTTPUnsupportedMediaType(
            text=f"found a body of another type, expected {_TYPE}; nothing was changed\n"
        )
    try:
        return await request.post()
    except (LookupError, ValueError):
        raise web.HTTPBadRequest(
            text="found a form that is not in its encoding, expected UTF-8; nothing was changed\n"
        ) from None
