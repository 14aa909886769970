"""How replicas run. Each engine knows the domain and its own settings; never HTTP, never SQL."""
