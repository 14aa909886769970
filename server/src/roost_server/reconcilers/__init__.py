"""One module a kind of row: each moves a row one step. `loop.py` claims, releases and backs off for all of them."""
