"""The path of the repository, for tests of its documents and deployment files."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
