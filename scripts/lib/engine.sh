# shellcheck shell=sh
# Bring a Docker Engine to a Debian or Ubuntu machine, as root. To be sourced; every function may be called again at any
# time and none touches a container. Honours DOCKER_HOST.

# A copy of its own: Debian's busybox-static would push out the busybox that the initial ramdisk is made with.
ENGINE_BUSYBOX=/usr/local/lib/wherry/busybox
ENGINE_LOG=${WHERRY_ENGINE_LOG:-/var/log/dockerd.log}

# All of it: install, start, register. Argument: the checkout, with its Python environment made.
engine_up() {
    . "$1/scripts/lib/packages.sh"
    # Wherry goes by DOCKER_HOST and the local socket; a context chosen for the docker CLI must not say otherwise.
    export DOCKER_CONTEXT=default
    engine_install && engine_busybox && engine_start && engine_register "$1/.venv/bin/python"
}

# Say whether an engine answers.
engine_answers() {
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Install what is missing: nftables and iptables for task networks, the client, and the engine unless one answers.
engine_install() {
    set -- nft:nftables iptables:iptables ip:iproute2 docker:docker-cli
    if ! engine_answers && [ -z "${DOCKER_HOST:-}" ]; then
        set -- "$@" dockerd:docker.io
        # Where the kernel has AppArmor, the engine starts no container without its parser.
        if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
            set -- "$@" apparmor_parser:apparmor
        fi
    fi
    engine_missing=''
    for engine_pair in "$@"; do
        command -v "${engine_pair%%:*}" >/dev/null 2>&1 || engine_missing="$engine_missing ${engine_pair#*:}"
    done
    [ -n "$engine_missing" ] || return 0
    command -v apt-get >/dev/null || {
        echo "Please install:$engine_missing (only Debian and Ubuntu are set up by themselves)." >&2
        return 1
    }
    # docker.io brings the client along, except where the distribution has split it off.
    apt-cache show docker.io >/dev/null 2>&1 || packages_lists
    if ! apt-cache show docker-cli >/dev/null 2>&1; then
        engine_missing=$(printf '%s' "$engine_missing" | sed 's/ docker-cli/ docker.io/; s/ docker.io\(.*\) docker.io/ docker.io\1/')
    fi
    # shellcheck disable=SC2086 # a list of words
    packages_install $engine_missing
}

# Have a statically linked busybox: the demo and the tests make their images of it.
engine_busybox() {
    for engine_candidate in "$ENGINE_BUSYBOX" /bin/busybox; do
        if [ -x "$engine_candidate" ] && ! ldd "$engine_candidate" >/dev/null 2>&1; then return 0; fi
    done
    printf '\033[1;36m==>\033[0m fetching a static busybox\n' >&2
    engine_folder=$(mktemp -d)
    apt-cache show busybox-static >/dev/null 2>&1 || packages_lists
    (
        cd "$engine_folder" || exit
        packages_apt download busybox-static || { packages_lists && packages_apt download busybox-static; } || exit
        dpkg-deb --extract ./busybox-static_*.deb . && install -D -m 755 "$(find . -path '*/bin/busybox')" "$ENGINE_BUSYBOX"
    )
    engine_status=$?
    rm -rf "$engine_folder"
    return "$engine_status"
}

# Start an engine if none answers: by systemd where that has one, else as a process of its own that outlives this shell.
engine_start() {
    engine_answers && return 0
    if [ -n "${DOCKER_HOST:-}" ]; then
        echo "No Docker Engine answers at DOCKER_HOST=$DOCKER_HOST. Start it, or unset DOCKER_HOST." >&2
        return 1
    fi
    printf '\033[1;36m==>\033[0m starting the Docker Engine\n' >&2
    engine_pid=''
    if [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; then
        engine_words="see 'journalctl -u docker'"
        systemctl start docker.service || { echo "The Docker Engine does not start: $engine_words." >&2 && return 1; }
    else
        engine_words="see $ENGINE_LOG"
        engine_clear_pid_file /var/run/docker.pid dockerd
        engine_clear_pid_file /var/run/docker/containerd/containerd.pid containerd
        # In a session of its own: a Ctrl-C for this shell is not meant for the engine.
        setsid dockerd >>"$ENGINE_LOG" 2>&1 </dev/null &
        engine_pid=$!
    fi
    engine_tries=0
    until engine_answers; do
        engine_tries=$((engine_tries + 1))
        if [ -n "$engine_pid" ] && ! kill -0 "$engine_pid" 2>/dev/null; then
            tail -n 3 "$ENGINE_LOG" >&2
            echo "The Docker Engine ended at once: $engine_words." >&2
            return 1
        elif [ "$engine_tries" -ge 150 ]; then
            echo "The Docker Engine did not answer within 30 seconds: $engine_words." >&2
            return 1
        fi
        sleep 0.2
    done
}

# Remove a pid file unless its process lives: one left by a killed engine would hold the new one back.
engine_clear_pid_file() {
    engine_process=$(cat "$1" 2>/dev/null) || return 0
    # A zombie has no program any more; one whose program was upgraded beneath it has, "(deleted)".
    case $(readlink "/proc/$engine_process/exe" 2>/dev/null) in
    */"$2"*) ;;
    *) rm -f "$1" ;;
    esac
}

# Register the OCI runtime "wherry" with the engine. Argument: a python that has Wherry installed.
# An engine that cannot be told runs tasks all the same, with a pause container each; so that is no failure.
engine_register() {
    PYTHONDONTWRITEBYTECODE=1 "$1" -m wherry.agent.runtime.docker.registration || return 1
    # The engine reloads in its own time; whoever starts an agent next should find the runtime there.
    engine_tries=0
    until docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"wherry"'; do
        engine_tries=$((engine_tries + 1))
        [ "$engine_tries" -lt 10 ] || break
        sleep 0.2
    done
}
