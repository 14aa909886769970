"""Replicas on this machine: OCI images and boxes made of runc, conmon, overlayfs, netlink and nftables."""
