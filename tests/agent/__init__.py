"""The agent library, as its callers and the platform meet it."""
