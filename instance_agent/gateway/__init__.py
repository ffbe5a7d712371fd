"""The gateway: an HTTP service in front of the fleet's models, in the protocols of OpenAI and Anthropic."""
