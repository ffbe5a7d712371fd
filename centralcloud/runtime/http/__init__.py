"""The HTTP server of both programs: health, metrics and JSON pages, served by aiohttp within limits of time and number."""
