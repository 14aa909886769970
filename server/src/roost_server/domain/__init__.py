"""The nouns, their rules, transition tables and pure decisions. Imports the standard library only."""
