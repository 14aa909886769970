"""The `roost` command. One file a noun; each command is a thin function over the SDK."""
