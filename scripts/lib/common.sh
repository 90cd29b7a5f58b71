# Shared by the scripts: messages, root, packages and the Python environment. Sourced, never run.
# shellcheck shell=bash

WHERRY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export WHERRY_ROOT

say()  { printf '\033[1;36m==>\033[0m %s\n' "$*" >&2; }
fail() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }

# Run a command as root: by sudo when we are somebody else.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; return; fi
    command -v sudo >/dev/null || fail "this needs root: run it as root, or install sudo"
    sudo "$@"
}

# Install Debian packages that are missing. The package lists are fetched once, and only if something is missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || fail "please install: ${missing[*]} (only Debian and Ubuntu are set up by themselves)"
    say "installing ${missing[*]}"
    if [ -z "${WHERRY_APT_UPDATED:-}" ]; then
        as_root apt-get update -qq
        export WHERRY_APT_UPDATED=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Print a Python that is new enough.
find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Make .venv as uv.lock says; fast when nothing changed.
python_environment() {
    cd "$WHERRY_ROOT"
    local stamp=.venv/.locked python
    if [ -x .venv/bin/wherry ] && [ -f "$stamp" ] && cmp -s uv.lock "$stamp"; then return; fi
    python=$(find_python) || {
        need_packages python3 python3-venv
        python=$(find_python) || fail "Python 3.11 or newer is needed; this system's python3 is older"
    }
    if [ ! -x .venv/bin/python ]; then
        say "making the Python environment in .venv"
        "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
        "$python" -m venv .venv || fail "python3 -m venv failed: install python3-venv and try again"
    fi
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
    say "installing what uv.lock names"
    .venv/bin/uv sync --quiet --frozen --inexact --compile-bytecode
    cp uv.lock "$stamp"
}

# Install, start and register a Docker Engine, whatever of it is missing.
docker_engine() {
    as_root sh -c '. "$1/scripts/lib/engine.sh" && engine_up "$1/.venv/bin/python"' sh "$WHERRY_ROOT" ||
        fail "no Docker Engine could be started; 'wherry doctor' tells what is missing"
}

# Replace this shell by a command that runs as root.
exec_as_root() {
    if [ "$(id -u)" = 0 ]; then exec "$@"; fi
    exec sudo --preserve-env "$@"
}
