"""The gateway: pure tables of what is sent to Envoy, and stories with a real Envoy."""
