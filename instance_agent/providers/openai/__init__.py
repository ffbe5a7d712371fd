"""The dialect `openai`."""
