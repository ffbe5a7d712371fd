"""CentralCloud: learns LLM routing scores from real outcomes, on plain PostgreSQL."""

__version__ = "0.2.0"
