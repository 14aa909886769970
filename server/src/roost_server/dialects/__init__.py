"""Other products' wire formats over the same operations."""
