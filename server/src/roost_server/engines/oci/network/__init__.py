"""The network of boxes: addresses, links, firewall."""
