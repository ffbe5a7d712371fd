"""The neutral form of a chat, and the protocols that clients speak."""
