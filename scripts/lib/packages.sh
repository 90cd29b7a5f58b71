# shellcheck shell=sh
# Install Debian packages as root. To be sourced. Nothing that is installed is ever removed, and no running service is
# restarted: the machine belongs to somebody.

# Run apt-get. What it says is shown only if it fails; another apt that is at work is waited for, up to five minutes.
packages_apt() {
    packages_log=$(mktemp)
    if LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -qq --no-remove \
        --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" \
        </dev/null >"$packages_log" 2>&1; then
        packages_status=0
    else
        packages_status=$?
    fi
    [ "$packages_status" = 0 ] || cat "$packages_log" >&2
    rm -f "$packages_log"
    return "$packages_status"
}

# Fetch the package lists, once. One source that is broken does not stop us: its packages may not be wanted.
packages_lists() {
    [ -z "${packages_lists_fetched:-}" ] || return 0
    packages_lists_fetched=yes
    packages_apt update || echo "apt-get update failed; going on with the package lists that are there" >&2
}

# Install packages. The lists are fetched where they are missing or too old.
packages_install() {
    printf '\033[1;36m==>\033[0m installing %s\n' "$*" >&2
    apt-cache show "$@" >/dev/null 2>&1 || packages_lists
    packages_apt install "$@" 2>/dev/null || { packages_lists && packages_apt install "$@"; }
}

# Install the registry of images. Debian's package would start one as a service; nobody asked for that here.
packages_registry() {
    packages_unit=/etc/systemd/system/docker-registry.service
    if [ -d /run/systemd/system ] && [ ! -e "$packages_unit" ]; then
        mkdir -p "${packages_unit%/*}"
        ln -s /dev/null "$packages_unit"
        trap 'rm -f "$packages_unit"' EXIT
    fi
    packages_install docker-registry
}

# Install PostgreSQL's server programs. Debian's package makes and starts a server; nobody asked for one here.
packages_postgres() {
    packages_policy=/etc/postgresql-common/createcluster.d/wherry.conf
    mkdir -p "${packages_policy%/*}"
    trap 'rm -f "$packages_policy"' EXIT
    echo 'create_main_cluster = false' >"$packages_policy"
    packages_install postgresql
}
