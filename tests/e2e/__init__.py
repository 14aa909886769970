"""The whole of Roost as its users meet it: real server processes, real containers, real Envoy, a real registry."""
