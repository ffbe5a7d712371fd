"""A fake upstream: OpenAI's, Anthropic's and Gemini's protocols on a real socket, with every misbehaviour by name.

`python -m support.upstream` runs it; `support.upstream.process.FakeUpstream` starts it for tests, and reads its record.
"""
