"""The roost command."""
