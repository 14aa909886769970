"""Pure: routes and certificates become Envoy's resources. One file a kind, `catalog.py` joins them."""
