# shellcheck shell=bash
# Shared by the scripts: messages, root, packages and the Python environment. Sourced, never run.

WHERRY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export WHERRY_ROOT

# dockerd, nft and iptables live there, and neither a user's PATH nor that of a plain `su` has it on Debian.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say()  { printf '\033[1;36m==>\033[0m %s\n' "$*" >&2; }
fail() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }

# Run a command as root: by sudo when we are somebody else. DOCKER_HOST and proxies have to get through.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; return; fi
    command -v sudo >/dev/null || fail "this needs root: run it as root, or install sudo"
    sudo --preserve-env "$@"
}

# Call a function of scripts/lib/FILE as root: call_as_root FILE FUNCTION ARGUMENT...
call_as_root() {
    # shellcheck disable=SC2016 # the inner shell expands it
    as_root sh -c 'library=$1; shift; . "$library"; "$@"' sh "$WHERRY_ROOT/scripts/lib/$1" "${@:2}"
}

# Install Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    apt_or_fail "${missing[*]}"
    call_as_root packages.sh packages_install "${missing[@]}" || fail "apt-get could not install: ${missing[*]}"
}

# Install PostgreSQL's server programs unless some are there, from wherever they came.
need_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    command -v initdb >/dev/null && return
    apt_or_fail "PostgreSQL's server programs"
    call_as_root packages.sh packages_postgres || fail "apt-get could not install postgresql"
}

# Install the registry of images, which `wherry up` runs when it is told to.
need_registry() {
    command -v docker-registry >/dev/null && return
    apt_or_fail docker-registry
    call_as_root packages.sh packages_registry || fail "apt-get could not install docker-registry"
}

# Install what formats the volumes that are configured at launch.
need_file_systems() {
    command -v mkfs.xfs >/dev/null && command -v mkfs.ext4 >/dev/null && return
    need_packages xfsprogs e2fsprogs
}

apt_or_fail() {
    command -v apt-get >/dev/null || fail "please install $1 (only Debian and Ubuntu are set up by themselves)"
}

# Print a Python that is new enough.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# What .venv was made from: a checkout that was moved needs a new one, since programs in it name their interpreter.
environment_key() { printf '%s\n' "$WHERRY_ROOT" && cat "$WHERRY_ROOT/pyproject.toml" "$WHERRY_ROOT/uv.lock"; }

# Make .venv as uv.lock says, and bytecode of all that it runs; fast when nothing changed.
python_environment() {
    make_venv
    # Whoever has Python write no bytecode would wait for it at every start.
    "$WHERRY_ROOT/.venv/bin/python" -m compileall -qq "$WHERRY_ROOT/src" || true
}

make_venv() {
    local venv=$WHERRY_ROOT/.venv python
    local stamp=$venv/.made-from
    if [ -x "$venv/bin/python" ] && environment_key | cmp -s - "$stamp"; then return; fi
    if [ -e "$venv" ] && [ ! -w "$venv" ]; then
        fail "$venv is not yours: run this as $(stat -c %U "$venv"), or remove it (sudo rm -r '$venv')"
    fi
    # Half a venv, or one of another place, is made anew; one that works is kept and brought up to date.
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 || [ "$(head -n 1 "$stamp" 2>/dev/null)" != "$WHERRY_ROOT" ]; then
        python=$(find_python) || {
            need_packages python3 python3-venv
            python=$(find_python) || fail "Python 3.11 or newer is needed, and this system's python3 is older"
        }
        "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
        say "making the Python environment in .venv"
        "$python" -m venv --clear "$venv" ||
            fail "'$python -m venv' failed: install the venv package of that Python and try again"
    fi
    say "installing what uv.lock names"
    # Without a place for its cache, uv would rather do nothing.
    mkdir -p "${UV_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/uv}" 2>/dev/null ||
        export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9' ||
        fail "pip could not install uv: is PyPI within reach? (pip's settings: '$venv/bin/pip config list')"
    UV_PROJECT_ENVIRONMENT=$venv UV_PYTHON_DOWNLOADS=never "$venv/bin/uv" sync \
        --quiet --directory "$WHERRY_ROOT" --python "$venv/bin/python" --frozen --inexact --compile-bytecode ||
        fail "uv could not install what uv.lock names: run the same command again when PyPI is within reach"
    environment_key >"$stamp"
}

# Install, start and register a Docker Engine, whatever of it is missing.
docker_engine() {
    call_as_root engine.sh engine_up "$WHERRY_ROOT" ||
        fail "there is no Docker Engine to work with; this tells more: sudo $(printf '%q' "$WHERRY_ROOT/.venv/bin/wherry") doctor"
}

# Replace this shell by a command that runs as root and leaves no root-owned bytecode in somebody's checkout.
exec_as_root() {
    if [ "$(id -u)" = 0 ]; then exec "$@"; fi
    exec sudo --preserve-env env PYTHONDONTWRITEBYTECODE=1 "$@"
}

# Run a command as root in the checkout, then hand its owner what the command wrote there.
run_as_root() {
    local status=0
    as_root "$@" || status=$?
    [ "$(id -u)" = 0 ] || sudo chown -R --from=root "$(id -u):$(id -g)" "$WHERRY_ROOT" || true
    return "$status"
}
