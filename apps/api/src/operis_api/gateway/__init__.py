"""The gateway: one chat request from its bytes to its settled charge."""
