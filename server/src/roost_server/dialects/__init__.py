"""Other products' wire formats over the same operations. They answer in their own envelopes."""
