"""How traffic arrives: a pure snapshot becomes Envoy's configuration over xDS."""
