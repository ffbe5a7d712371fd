"""The dialect `gemini`."""
