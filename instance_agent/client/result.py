"""The result of a request: a dictionary, as JSON has it."""

from collections.abc import Sequence
from typing import TypedDict

from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import NANO


class AttemptResult(TypedDict):
    """One attempt of a request.

    Attributes:
        model: that was called.
        provider: that was called.
        success: whether it answered well.
        error: in one line, without keys and without words of the provider; None after a success.
        cost: in USD; None when it is not known.
        time: in seconds; None when the caller ended the attempt.
    """

    model: str
    provider: str
    success: bool
    error: str | None
    cost: float | None
    time: float | None


class GenerationResult(TypedDict):
    """The result of `generate`.

    Attributes:
        success: whether `content` is a good answer. Look at it first.
        content: the text of the answer. It may hold an answer without success, which did not have the form asked for.
        model: the model that answered, or that was tried last; None when none was tried.
        provider: of that model.
        cost: of all attempts in USD; 0.0 for local models. None: the cost of an attempt is not known.
        cost_nano_usd: the same, exact, in 1e-9 USD.
        tokens: of prompts and answers of all attempts; 0 when none is known.
        input_tokens: of prompts.
        output_tokens: of answers.
        estimated: whether a provider reported no usage, so that tokens and cost are estimated upwards.
        time: until the result, in seconds.
        reasoning: why this model, in words.
        error: why the request failed, in one line; None after a success.
        error_code: the same for programs, such as ``model_not_found``; None where there is none.
        task_type: as the caller said, else as it was classified.
        complexity: 1 to 10 likewise; None when it is not known.
        forced: whether the caller named the model.
        experiment: that has the request; None: none.
        arm: of the experiment: the name of a treatment, or ``control``; None without one.
        escalated: whether another provider answered because local models had failed.
        attempts: each call of a model, the first one first.
        request_id: of the request, in logs and events.
    """

    success: bool
    content: str
    model: str | None
    provider: str | None
    cost: float | None
    cost_nano_usd: int | None
    tokens: int
    input_tokens: int
    output_tokens: int
    estimated: bool
    time: float
    reasoning: str
    error: str | None
    error_code: str | None
    task_type: str | None
    complexity: int | None
    forced: bool
    experiment: str | None
    arm: str | None
    escalated: bool
    attempts: list[AttemptResult]
    request_id: str


def failure(request_id: str, error: str, code: str | None, seconds: float) -> GenerationResult:
    """Return the result of a request that ended without an attempt."""
    return {
        "success": False,
        "content": "",
        "model": None,
        "provider": None,
        "cost": 0.0,
        "cost_nano_usd": 0,
        "tokens": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "estimated": False,
        "time": seconds,
        "reasoning": "",
        "error": error,
        "error_code": code,
        "task_type": None,
        "complexity": None,
        "forced": False,
        "experiment": None,
        "arm": None,
        "escalated": False,
        "attempts": [],
        "request_id": request_id,
    }


def add_attempts(result: GenerationResult, attempts: Sequence[Attempt]) -> None:
    """Add the attempts of a request with their sums, and the model of the last one."""
    for attempt in attempts:
        model, elapsed, nano = attempt.call.target.model, attempt.response_time_ms, attempt.cost.nano_usd
        if (usage := attempt.usage) is not None:
            result["input_tokens"] += usage.input_tokens or 0
            result["output_tokens"] += usage.output_tokens or 0
            if nano is None:
                result["cost_nano_usd"] = None
        if nano is not None and result["cost_nano_usd"] is not None:
            result["cost_nano_usd"] += nano
        result["estimated"] = result["estimated"] or attempt.usage_estimated
        result["model"], result["provider"] = model.name, model.provider
        result["attempts"].append(
            {
                "model": model.name,
                "provider": model.provider,
                "success": attempt.outcome == "success",
                "error": attempt.error,
                "cost": None if nano is None else nano / NANO,
                "time": None if elapsed is None else elapsed / 1000,
            }
        )
    result["tokens"] = result["input_tokens"] + result["output_tokens"]
    total = result["cost_nano_usd"]
    result["cost"] = None if total is None else total / NANO
