"""The services that run models: their dialects (pure translation) and the transport that sends their calls."""
