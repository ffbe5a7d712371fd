"""The types of tasks that the routing of this package knows."""

from enum import StrEnum


class TaskType(StrEnum):
    """The type of a task. Each has its order of providers; a method that takes one takes its value as well."""

    CODE_GENERATION = "code_generation"
    CODE_REFACTOR = "code_refactor"
    REASONING = "reasoning"
    ANALYSIS = "analysis"
    COMPLETION = "completion"
    CREATIVE = "creative"
