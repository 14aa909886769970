"""What boxes wrote: reading, searching, following, rotating."""
