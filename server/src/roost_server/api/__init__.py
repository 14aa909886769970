"""The native HTTP API: thin handlers over operations. The wire format is fixed in DESIGN's conventions."""
