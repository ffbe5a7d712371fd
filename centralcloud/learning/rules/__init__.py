"""The rules that ship with CentralCloud, and the registry of these and the installed ones."""

from centralcloud.learning.rules.adaptive import AdaptiveRule, AdaptiveSettings
from centralcloud.learning.rules.threshold import ThresholdRule, ThresholdSettings

__all__ = ["AdaptiveRule", "AdaptiveSettings", "ThresholdRule", "ThresholdSettings"]
