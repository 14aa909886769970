"""The kernel's interfaces that Python does not wrap. Nothing in here knows what a box is."""
