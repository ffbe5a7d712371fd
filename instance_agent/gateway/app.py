"""The application of the gateway: its routes, and the one list that more of them are added to."""

from collections.abc import Callable, Iterable

from aiohttp import web

from centralcloud.runtime.http.connections import Connections
from instance_agent.gateway import chat_api, models_api, other_operations, parts
from instance_agent.gateway.exchange import ANYWHERE, exchange_of, nothing_here
from instance_agent.gateway.parts import GatewayParts

#: 32 MiB: images in a prompt.
MAX_BODY_BYTES = 32 * 1024 * 1024


def model_routes() -> list[web.RouteDef]:
    """Return the routes under /v1."""
    return [
        web.post("/v1/chat/completions", chat_api.chat_completions),
        web.post("/v1/messages", chat_api.messages),
        web.post("/v1/messages/count_tokens", other_operations.count_tokens),
        web.post("/v1/embeddings", other_operations.embeddings),
        web.post("/v1/responses", other_operations.responses),
        web.get("/v1/models", models_api.list_models),
        web.get("/v1/models/{id:.+}", models_api.get_model),
    ]


def make_app(
    connections: Connections, make_parts: Callable[[], GatewayParts], routes: Iterable[web.RouteDef]
) -> web.Application:
    """Create the application, in its event loop.

    Args:
        make_parts: called in the loop; what it returns is closed at the end.
        routes: all of them; what is none of them is a 404 that names them.
    """
    made = make_parts()
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[exchange_of(made, connections)])
    app[parts.KEY] = made
    anywhere = web.route("*", ANYWHERE.replace("}", ":.*}"), nothing_here)
    app.add_routes(
        [
            web.RouteDef(each.method, each.path, each.handler, {**each.kwargs, "expect_handler": _wait})
            for each in (*routes, anywhere)
        ]
    )

    async def close(_app: web.Application) -> None:
        await made.close()

    app.on_cleanup.append(close)
    return app


async def _wait(_request: web.Request) -> None:
    """Leave the header Expect to the middleware, which knows whether the body is wanted."""
