"""A hook of the gateway: it takes addresses of mail out of prompts, refuses one word, and labels the events."""

import re

from instance_agent.hooks import Change, HookAnswer, HookRequest, HookResult, Refusal

_ADDRESS = re.compile(rb"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")


class RedactMailAddresses:
    """Replaces addresses in requests and in whole answers."""

    async def before(self, request: HookRequest) -> HookResult:
        if b"top secret" in request.body.lower():
            return Refusal(message="a text is marked as top secret, which no model may see", status=403)
        body, found = _ADDRESS.subn(b"(address)", request.body)
        return Change(body=body, labels={"redacted": found}) if found else None

    async def after(self, request: HookRequest, answer: HookAnswer) -> HookResult:  # noqa: ARG002 - as every hook
        if answer.body is None:  # a stream: its client has it already
            return None
        body, found = _ADDRESS.subn(b"(address)", answer.body)
        return Change(body=body) if found else None
