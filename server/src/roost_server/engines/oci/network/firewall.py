"""The firewall: one nftables table per installation, the same for every box, so that making a box changes no rule.

Boxes are told by the name of the host's end of their link. All of it is replaced in one transaction.
"""

import shutil
import subprocess

from roost_server.domain import errors
from roost_server.engines.oci.installation import VETH_FAMILY, Installation

LINK_LOCAL = "169.254.0.0/16"
ATTEMPTS = 5


def rules(installation: Installation, api_port: int | None) -> str:
    """What boxes may reach: whatever lies outside this machine, by its address, and `api_port` of the host at its
    address in their own network. Answers to the host may leave.

    Dropped: IPv6, a source address that is not the box's own, the host and all else it listens on, boxes of any
    installation, link-local addresses (which clouds serve credentials from); and whoever is neither a box nor the host
    at the address that is the boxes' own, which Linux would answer at whatever link it is asked from.
    """
    mine, anyone = f'iifname "{installation.veth_prefix}*"', f'"{VETH_FAMILY}*"'
    to_api = f"{mine} ip daddr {installation.host_address} tcp dport {api_port} accept" if api_port else ""
    return f"""
table inet {installation.table}
delete table inet {installation.table}
table inet {installation.table} {{
  chain from_box {{
    type filter hook prerouting priority raw; policy accept;
    {mine} meta nfproto ipv6 drop
    {mine} fib saddr . iif oif missing drop
    {mine} ip daddr {LINK_LOCAL} drop
  }}
  chain to_host {{
    type filter hook input priority filter - 5; policy accept;
    {mine} ct state established,related accept
    {to_api}
    {mine} drop
    iifname != "lo" ip daddr {installation.host_address} drop
  }}
  chain through {{
    type filter hook forward priority filter - 5; policy accept;
    {mine} oifname {anyone} drop
    {mine} ct state invalid drop
    {mine} accept
    oifname "{installation.veth_prefix}*" ct state established,related accept
    oifname "{installation.veth_prefix}*" drop
  }}
  chain outwards {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {installation.network} oifname != {anyone} oifname != "lo" masquerade
  }}
}}
"""


def prepare(installation: Installation, api_port: int | None) -> None:
    """Put the rules in place, replacing what an earlier server put there."""
    _nft(rules(installation, api_port))
    pass_others(installation)


def is_in_place(installation: Installation) -> bool:
    """Whether nobody removed the rules, as reloading the host's own firewall may do."""
    listed = subprocess.run(["nft", "list", "chain", "inet", installation.table, "to_host"], capture_output=True)
    return listed.returncode == 0 and not _is_shut(installation)


def destroy(installation: Installation) -> None:
    """Remove the table. Removing what is gone succeeds."""
    _nft(f"table inet {installation.table}\ndelete table inet {installation.table}\n")
    for rule in _passing(installation):
        _iptables("-D", *rule)


def pass_others(installation: Installation) -> None:
    """Docker and ufw drop all they do not know. What boxes may reach is still up to our own table. iptables refuses
    when somebody else changes its rules at the same moment, so look whether they are there."""
    for _ in range(ATTEMPTS):
        missing = _shut(installation)
        for rule in missing:
            _iptables("-I", *rule)
        if not missing:
            return


def _is_shut(installation: Installation) -> bool:
    return bool(_shut(installation))


def _shut(installation: Installation) -> list[list[str]]:
    """Rules that our boxes need, of chains in which iptables drops what it does not know, and that are not there."""
    listed = {chain: _iptables("-S", chain) for chain in ("FORWARD", "INPUT")}
    return [
        rule for rule in _passing(installation) if _drops(rule[0], listed) and " ".join(rule) not in listed[rule[0]]
    ]


def _drops(chain: str, listed: dict[str, str]) -> bool:
    return f"-P {chain} DROP" in listed[chain] or f"-A {chain} -j REJECT" in listed[chain]


def _passing(installation: Installation) -> list[list[str]]:
    """Spelt as iptables lists them."""
    ours, host = f"{installation.veth_prefix}+", f"{installation.host_address}/32"
    return [
        ["FORWARD", "-i", ours, "-j", "ACCEPT"],
        ["FORWARD", "-o", ours, "-j", "ACCEPT"],
        ["INPUT", "-d", host, "-i", ours, "-j", "ACCEPT"],
    ]


def _iptables(*arguments: str) -> str:
    """What it says; nothing where it is not installed or refuses."""
    if shutil.which("iptables") is None:
        return ""
    return subprocess.run(["iptables", "-w", *arguments], capture_output=True, text=True).stdout


def _nft(script: str) -> None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, timeout=30)
    except FileNotFoundError as error:
        raise errors.Unavailable(
            "cannot set up the replicas' firewall: nft is not installed; install nftables",
            reason="engine_unavailable",
        ) from error
    if done.returncode:
        raise errors.Unavailable(
            "cannot set up the replicas' firewall: nft refused the rules; run roost-server doctor",
            reason="engine_unavailable",
            detail=done.stderr,
        )
