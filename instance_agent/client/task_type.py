"""The types of tasks that the routing of this package knows."""

from enum import StrEnum


class TaskType(StrEnum):
    """The type of a task. Each has its order of providers; a method that takes one takes its value as well.

    Attributes:
        CODE_GENERATION: ``code_generation``, new code: local models, then OpenAI.
        CODE_REFACTOR: ``code_refactor``, better code: local models, then Claude.
        REASONING: ``reasoning``, analysis by logic and solving of problems: Claude, then Gemini.
        ANALYSIS: ``analysis``, of data, and research: Claude, then Gemini.
        COMPLETION: ``completion``, the rest of a text: OpenAI, then local models.
        CREATIVE: ``creative``, texts and ideas: Claude, then Gemini.
    """

    CODE_GENERATION = "code_generation"
    CODE_REFACTOR = "code_refactor"
    REASONING = "reasoning"
    ANALYSIS = "analysis"
    COMPLETION = "completion"
    CREATIVE = "creative"
