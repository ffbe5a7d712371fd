"""The fake upstream, as a process of its own."""

from support.upstream.fixtures import fake_upstream, running_upstream

__all__ = ["fake_upstream", "running_upstream"]
