"""Images of this machine: pulled, built, loaded, unpacked, pushed, kept."""
