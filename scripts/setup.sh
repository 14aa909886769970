# Shared by ./up and ./test: Debian packages and the virtual environment. Sourced, not run.
# Every step is skipped when its outcome is already there, so that a second run costs nothing.

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

require_host() {
    [ "$(uname -s)" = Linux ] || fail "cannot run here: Roost's engine needs Linux"
    [ "$(id -u)" = 0 ] || fail "cannot prepare this machine: run as root (sudo ./$(basename "$0"))"
    command -v apt-get >/dev/null || fail "cannot install what is missing: this is for Debian and Ubuntu; elsewhere install the packages of docs/install.md by hand"
}

# packages WHY NAME...: install those of the Debian packages that are missing, saying what for.
packages() {
    local why=$1 name missing=()
    shift
    for name in "$@"; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    say "installing ${missing[*]}: $why"
    if [ -z "${apt_is_fresh:-}" ]; then
        apt-get update -qq >/dev/null || fail "cannot refresh the package lists: run 'apt-get update' and read what it says"
        apt_is_fresh=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$setup_log" 2>&1 \
        || { tail -n 20 "$setup_log" >&2; fail "cannot install ${missing[*]}: see above"; }
}

platform_packages() {
    packages "isolates replicas and keeps their logs and exit codes" runc conmon catatonit
    packages "pulls, unpacks and builds images" skopeo umoci buildah
    packages "makes builtin:runtime" mmdebstrap
    packages "network, firewall and disks of replicas" nftables iproute2 e2fsprogs mount
    packages "trusted certificates and downloads" ca-certificates curl
    packages "the Python that Roost runs on" python3 python3-venv
}

# environment [UV-SYNC-OPTION...]: the virtual environment of uv.lock in .venv.
environment() {
    local wanted
    wanted="$(sha256sum uv.lock pyproject.toml ./*/pyproject.toml | sha256sum | cut -c1-16) $*"
    [ -x .venv/bin/roost-server ] && [ "$(cat .venv/roost-synced 2>/dev/null)" = "$wanted" ] && return 0
    local uv
    if ! uv=$(command -v uv); then
        uv=$PWD/.tools/bin/uv
        if [ ! -x "$uv" ]; then
            say "installing uv: makes the virtual environment"
            python3 -m venv .tools && .tools/bin/python -m pip install -q uv >"$setup_log" 2>&1 \
                || { tail -n 20 "$setup_log" >&2; fail "cannot install uv: see above"; }
        fi
    fi
    say "making the virtual environment in .venv"
    "$uv" sync -q --frozen --all-packages --compile-bytecode "$@" || fail "cannot make the virtual environment: see above"
    printf '%s' "$wanted" >.venv/roost-synced
}

unset PYTHONDONTWRITEBYTECODE
setup_log=$(mktemp /tmp/roost-setup.XXXXXX)
trap 'rm -f "$setup_log"' EXIT
