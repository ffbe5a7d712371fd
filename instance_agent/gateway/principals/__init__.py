"""Principals that are not API keys: tokens (JWT) of an identity provider, and certificates of clients (mTLS)."""
