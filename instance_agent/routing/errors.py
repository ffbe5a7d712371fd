"""Errors of routing. Pure."""

from centralcloud.contracts import CentralCloudError


class RoutingError(CentralCloudError):
    """No model can be chosen for a request."""
