"""Roost and Docker Engine side by side, on this machine, doing the same work with the same root file system.

Both are driven over their HTTP APIs, in turn, so that whatever else the machine does hits both alike.
"""
