"""Every client protocol reaches every dialect, with tools, images, schemas and streams; losses are named."""

import json
from typing import Any

import pytest
from support.chats import KEY, SCHEMA, a_request, an_upstream, answer_bytes, asked_by, collected, stream_bytes
from support.executions import CLIENT_PROTOCOLS

from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.messages import (
    ImagePart,
    Message,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from instance_agent.providers.collector import AnswerCollector
from instance_agent.providers.installed import BUILT_IN

DIALECTS = ["openai", "anthropic", "gemini"]
CLIENTS = ["openai", "anthropic"]
PIXEL = "iVBORw0KGgo="
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def _client_body(client: str, kind: str, stream: bool = False) -> bytes:
    if client == "openai":
        body: dict[str, Any] = {
            "model": "auto",
            "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello there"}],
        }
        if kind == "tools":
            body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": _PARAMETERS}}]
        elif kind == "image":
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
            body["messages"][1]["content"] = [{"type": "text", "text": "look"}, image]
        elif kind == "schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
        elif kind == "result":
            call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
            body["messages"] += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "sunny today"},
            ]
            body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": _PARAMETERS}}]
    else:
        body = {
            "model": "auto",
            "max_tokens": 100,
            "system": [{"type": "text", "text": "Be kind."}],
            "messages": [{"role": "user", "content": "hello there"}],
        }
        if kind == "tools":
            body["tools"] = [{"name": "weather", "input_schema": _PARAMETERS}]
        elif kind == "image":
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            body["messages"][0]["content"] = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
        elif kind == "schema":
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        elif kind == "result":
            body["messages"] += [
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "c1",
                            "content": [{"type": "text", "text": "sunny today"}],
                        }
                    ],
                },
            ]
            body["tools"] = [{"name": "weather", "input_schema": _PARAMETERS}]
    return json.dumps({**body, "stream": stream}).encode()


EXPECTED = {
    "text": ("You said: hello there", "stop"),
    "image": ("You said: look (1 images)", "stop"),
    "schema": ('{"city": "Paris", "days": 7}', "stop"),
    "result": ("You said: sunny today", "stop"),
    "tools": ("", "tool_calls"),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_client_of_one_protocol_reaches_a_model_of_another(client: str, dialect: str, kind: str) -> None:
    protocol, spoken, upstream = CLIENT_PROTOCOLS[client], BUILT_IN[dialect], an_upstream(dialect)
    request = protocol.read_request(_client_body(client, kind))
    call = spoken.chat(upstream, request, "fake-small")
    asked = asked_by(dialect, call)
    assert asked.words == len(f"Be kind. {'hello there' if kind != 'image' else 'look'}".split()) + 2 * (
        kind == "result"
    )

    written = json.loads(
        protocol.write_answer(spoken.read_answer(upstream, answer_bytes(dialect, asked)), model="auto")
    )

    text, calls, finish, usage = _shown(client, written)
    assert (text, finish) == EXPECTED[kind]
    assert [arguments for _, arguments in calls] == ([{"city": "Paris"}] if kind == "tools" else [])
    assert usage == (asked.words + 10, _output_tokens(kind, text))
    assert written["model"] == "auto"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", EXPECTED)
def test_its_stream_says_the_same(client: str, dialect: str, kind: str) -> None:
    protocol, spoken, upstream = CLIENT_PROTOCOLS[client], BUILT_IN[dialect], an_upstream(dialect)
    request = protocol.read_request(_client_body(client, kind, stream=True))
    asked = asked_by(dialect, spoken.chat(upstream, request, "fake-small"))
    writer = protocol.stream_writer(model="auto", include_usage=True)
    reader = spoken.stream_reader(upstream)
    events = reader.feed(stream_bytes(dialect, asked)) + reader.close()

    written = b"".join(writer.write(event) for event in events)

    # The client's protocol is also a dialect, whose reader is the judge.
    judge = BUILT_IN[client].stream_reader(an_upstream(client))
    answer = collected(judge.feed(written) + judge.close())
    assert (answer.text, answer.finish) == EXPECTED[kind]
    assert [json.loads(call.arguments) for call in answer.tool_calls] == (
        [{"city": "Paris"}] if kind == "tools" else []
    )
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        asked.words + 10,
        _output_tokens(kind, answer.text),
    )
    assert answer.model == "auto"


def _output_tokens(kind: str, text: str) -> int:
    return 5 if kind == "tools" else -(-len(text) // 8) if kind == "schema" else len(text.split(" "))


def _shown(client: str, body: dict[str, Any]) -> tuple[str, list[tuple[str, Any]], str, tuple[int, int]]:
    if client == "openai":
        choice = body["choices"][0]
        calls = [
            (call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in choice["message"].get("tool_calls", ())
        ]
        usage = (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"])
        return choice["message"]["content"] or "", calls, choice["finish_reason"], usage
    texts = [block["text"] for block in body["content"] if block["type"] == "text"]
    calls = [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"]
    finish = {"end_turn": "stop", "tool_use": "tool_calls"}[body["stop_reason"]]
    counted = body["usage"]
    total = counted["input_tokens"] + counted.get("cache_read_input_tokens", 0)
    return "".join(texts), calls, finish, (total, counted["output_tokens"])


def _body(dialect: str, **fields: Any) -> dict[str, Any]:
    model = {"openai": "gpt-5", "anthropic": "claude-sonnet-5", "gemini": "gemini-3-pro"}[dialect]
    call = BUILT_IN[dialect].chat(an_upstream(dialect), a_request(**fields), fields.pop("to", model))
    return {**json.loads(call.body or b""), "losses": call.losses}


def test_every_setting_reaches_openai_under_its_name() -> None:
    body = _body(
        "openai",
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=("a", "b"),
        user="u",
        max_output_tokens=9,
        reasoning=Reasoning("high"),
        tools=(Tool("f", strict=True),),
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_object"),
    )

    assert body.pop("messages") == [{"role": "user", "content": "hello there"}]
    assert body == {
        "model": "gpt-5",
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 1,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["a", "b"],
        "user": "u",
        "max_tokens": 9,
        "reasoning_effort": "high",
        "tools": [{"type": "function", "function": {"name": "f", "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "losses": ("top_k",),
    }


def test_every_setting_reaches_anthropic_or_is_a_named_loss() -> None:
    body = _body(
        "anthropic",
        temperature=1.5,
        top_p=0.9,
        top_k=5,
        seed=1,
        stop=("a",),
        user="u",
        tools=(Tool("f"),),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_object"),
    )

    assert body["temperature"] == 1.0
    assert body["top_k"] == 5
    assert body["max_tokens"] == 4096
    assert body["stop_sequences"] == ["a"]
    assert body["metadata"] == {"user_id": "u"}
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert "JSON object" in body["system"]
    assert body["losses"] == (
        "response_format json_object (asked for in the system prompt)",
        "seed",
        "temperature above 1",
        "top_p beside temperature or thinking",
    )


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort"),
    [
        ("claude-sonnet-5", Reasoning("high"), {"type": "adaptive"}, "high"),
        ("claude-opus-4-7", Reasoning(None, 2000), {"type": "adaptive"}, None),
        ("claude-opus-4-6", Reasoning("low"), {"type": "adaptive"}, "low"),
        ("claude-sonnet-4-5-20250929", Reasoning("low"), {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-sonnet-4-20250514", Reasoning("low"), {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-haiku-4-5", Reasoning(None, 5000), {"type": "enabled", "budget_tokens": 5000}, None),
        ("claude-3-7-sonnet-latest", Reasoning("medium"), {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-sonnet-5", Reasoning("none"), {"type": "disabled"}, None),
    ],
)
def test_thinking_is_asked_for_in_the_form_that_a_model_of_anthropic_takes(
    model: str, reasoning: Reasoning, thinking: dict[str, Any], effort: str | None
) -> None:
    call = BUILT_IN["anthropic"].chat(an_upstream("anthropic"), a_request(reasoning=reasoning, temperature=0.3), model)
    body = json.loads(call.body or b"")

    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert body["max_tokens"] > thinking.get("budget_tokens", 0)
    assert ("temperature" in body) == (reasoning.effort == "none")


def test_thinking_is_left_out_where_anthropic_would_refuse_it() -> None:
    turns = (
        Message("user", (TextPart("a"),)),
        Message("assistant", (ThinkingPart("unsigned"), ToolCallPart("c1", "f", "{}"))),
        Message("user", (ToolResultPart("c1", (TextPart("r"),)),)),
    )

    body = _body("anthropic", messages=turns, reasoning=Reasoning("high"), tools=(Tool("f"),))

    assert "thinking" not in body
    assert body["losses"] == (
        "thinking after a call of a tool without its thoughts",
        "thinking without a signature",
    )


def test_signed_thoughts_go_back_to_anthropic_and_results_of_tools_come_first() -> None:
    turns = (
        Message("user", (TextPart("a"),)),
        Message("assistant", (ThinkingPart("t", "sig"), ThinkingPart("", redacted="r"), ToolCallPart("c1", "f", "{}"))),
        Message("user", (TextPart("and"), ToolResultPart("c1", (ImagePart(url="https://x/y.png"),), is_error=True))),
        Message("system", (TextPart("be brief"),)),
    )

    body = _body("anthropic", messages=turns, reasoning=Reasoning("high"), tools=(Tool("f"),), system=("be kind",))

    assert body["system"] == "be kind\n\nbe brief"
    assert body["losses"] == ("the place of a system message",)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "redacted_thinking", "tool_use"]
    result, text = body["messages"][2]["content"]
    assert result == {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}],
        "is_error": True,
    }
    assert text == {"type": "text", "text": "and"}


def test_every_setting_reaches_gemini_or_is_a_named_loss() -> None:
    body = _body(
        "gemini",
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=("a",),
        user="u",
        max_output_tokens=9,
        reasoning=Reasoning("medium"),
        tools=(Tool("f", "d", {"type": "object"}),),
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", SCHEMA),
        system=("be kind",),
    )

    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "hello there"}]}],
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "tools": [
            {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}}]}
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 5,
            "maxOutputTokens": 9,
            "stopSequences": ["a"],
            "seed": 1,
            "presencePenalty": 0.2,
            "frequencyPenalty": 0.1,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
            "thinkingConfig": {"thinkingLevel": "medium", "includeThoughts": True},
        },
        "losses": ("parallel_tool_calls", "user"),
    }


@pytest.mark.parametrize(
    ("model", "signature", "sent"),
    [
        ("gemini-3-pro", "proof", "proof"),
        ("gemini-3-pro", None, "skip_thought_signature_validator"),
        ("gemini-2.5-flash", None, None),
    ],
)
def test_gemini_gets_the_proof_of_a_call_back(model: str, signature: str | None, sent: str | None) -> None:
    turns = (
        Message("user", (TextPart("a"),)),
        Message("assistant", (ToolCallPart("c1", "f", '{"a": 1}', signature), ToolCallPart("c2", "g", ""))),
        Message(
            "user", (ToolResultPart("c1", (TextPart("r"),)), ToolResultPart("c2", (TextPart("no"),), is_error=True))
        ),
    )

    call = BUILT_IN["gemini"].chat(an_upstream("gemini"), a_request(messages=turns), model)

    _, calls, results = json.loads(call.body or b"")["contents"]
    assert calls["parts"][0].get("thoughtSignature") == sent
    assert calls["parts"][1] == {"functionCall": {"name": "g", "args": {}}}
    assert results["parts"] == [
        {"functionResponse": {"name": "f", "response": {"result": "r"}}},
        {"functionResponse": {"name": "g", "response": {"error": "no"}}},
    ]


def test_the_proof_of_a_call_survives_a_client_of_openai() -> None:
    spoken, upstream, protocol = BUILT_IN["gemini"], an_upstream("gemini"), CLIENT_PROTOCOLS["openai"]
    request = protocol.read_request(_client_body("openai", "tools"))
    answer = spoken.read_answer(
        upstream, answer_bytes("gemini", asked_by("gemini", spoken.chat(upstream, request, "m")))
    )

    message = json.loads(protocol.write_answer(answer))["choices"][0]["message"]
    back = protocol.read_request(json.dumps({"model": "m", "messages": [message]}).encode())

    assert back.messages[0].parts == answer.parts


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_arguments_that_are_not_an_object_are_refused(dialect: str) -> None:
    turns = (Message("assistant", (ToolCallPart("c1", "f", "[1"),)),)

    with pytest.raises(InvalidRequestError, match="the call c1"):
        _body(dialect, messages=turns)


def test_an_image_by_url_is_refused_by_name_for_gemini() -> None:
    turns = (Message("user", (ImagePart(url="https://x/y.png"),)),)

    with pytest.raises(UnsupportedFeatureError, match="image by URL") as refused:
        _body("gemini", messages=turns)

    assert refused.value.target == "gemini"


def test_an_image_in_a_result_follows_in_a_message_for_openai() -> None:
    turns = (
        Message("assistant", (ToolCallPart("c1", "f", "{}"),)),
        Message("user", (ToolResultPart("c1", (TextPart("r"), ImagePart(data=PIXEL, media_type="image/png"))),)),
    )

    _, result, image = _body("openai", messages=turns)["messages"]

    assert result == {"role": "tool", "tool_call_id": "c1", "content": "r"}
    assert image["content"][0]["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"


def test_the_collector_keeps_what_came_before_an_error() -> None:
    reader = BUILT_IN["openai"].stream_reader(an_upstream("openai"))
    collector = AnswerCollector()

    for event in reader.feed(b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n') + reader.close():
        collector.add(event)

    assert collector.answer().text == "half"
    assert collector.error is not None
    assert not collector.completed


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_a_chat_of_a_system_prompt_alone_becomes_a_message_of_the_user(dialect: str) -> None:
    call = BUILT_IN[dialect].chat(an_upstream(dialect), a_request(messages=(), system=("say hello",)), "m")

    assert asked_by(dialect, call).text == "say hello"
    assert call.losses == ("the place of a system message",)


def test_a_call_shows_neither_key_nor_query() -> None:
    upstream = an_upstream("openai", "https://host/v1?token=in-the-query")
    call = BUILT_IN["openai"].chat(upstream, a_request(), "m")

    assert call.url == "https://host/v1/chat/completions?token=in-the-query"
    for shown in (repr(call), str(call), repr(call.__rich_repr__())):
        assert KEY not in shown
        assert "in-the-query" not in shown
