"""What a caller may ask for: one function a verb, one transaction each; each records the intent and who asked."""
