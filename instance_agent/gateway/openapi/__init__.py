"""The OpenAPI document of the gateway, and the page that shows it."""
