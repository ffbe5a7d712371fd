"""The HTTP server of both programs: health, metrics and pages of JSON."""
