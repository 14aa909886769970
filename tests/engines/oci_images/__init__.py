"""Images of the oci engine, against a real registry."""
