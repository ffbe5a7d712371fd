"""The rules that ship with CentralCloud, and those that others have installed."""

from centralcloud.learning.rules.adaptive import AdaptiveRule, AdaptiveSettings
from centralcloud.learning.rules.threshold import ThresholdRule, ThresholdSettings

__all__ = ["AdaptiveRule", "AdaptiveSettings", "ThresholdRule", "ThresholdSettings"]
