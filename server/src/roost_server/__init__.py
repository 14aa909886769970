"""The Roost platform. `server.py` is the only place that builds and joins the parts."""
