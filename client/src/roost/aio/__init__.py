"""The client with `await`. The blocking one in the folder above is generated from these files.

After a change here run `python client/scripts/make_sync.py`. Only `effects.py` is written by hand in both.
"""
