"""The rules that ship with CentralCloud."""

from centralcloud.learning.rules.threshold import ThresholdRule, ThresholdSettings

__all__ = ["ThresholdRule", "ThresholdSettings"]
