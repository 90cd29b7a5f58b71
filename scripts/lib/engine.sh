# shellcheck shell=sh
# Bring a Docker Engine to a Debian or Ubuntu machine. To be sourced; every function may be called again at any time
# and none touches a container. Needs root where something has to be changed; honours DOCKER_HOST.

# Say whether an engine answers.
engine_answers() {
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Install what is missing: the engine, nftables and iptables for task networks, busybox for local images.
engine_install() {
    engine_missing=''
    for engine_pair in dockerd:docker.io docker:docker-cli nft:nftables iptables:iptables ip:iproute2; do
        command -v "${engine_pair%%:*}" >/dev/null 2>&1 || engine_missing="$engine_missing ${engine_pair#*:}"
    done
    [ -n "$(engine_busybox)" ] || engine_missing="$engine_missing busybox-static"
    [ -n "$engine_missing" ] || return 0
    # docker.io brings the client along except where the distribution has split it off.
    if ! apt-cache show docker-cli >/dev/null 2>&1; then
        engine_missing=$(printf '%s' "$engine_missing" | sed 's/ docker-cli/ docker.io/')
    fi
    echo "Installing:$engine_missing"
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $engine_missing >/dev/null ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $engine_missing >/dev/null; }
}

# Print the path of a statically linked busybox, or nothing.
engine_busybox() {
    for engine_candidate in /bin/busybox /usr/bin/busybox; do
        if [ -x "$engine_candidate" ] && ! ldd "$engine_candidate" >/dev/null 2>&1; then
            echo "$engine_candidate"
            return 0
        fi
    done
}

# Start an engine if none answers: by systemd where that runs, else as a process of its own that outlives this shell.
engine_start() {
    engine_answers && return 0
    if [ -n "${DOCKER_HOST:-}" ]; then
        echo "No Docker Engine answers at DOCKER_HOST=$DOCKER_HOST. Start it, or unset DOCKER_HOST." >&2
        return 1
    fi
    if [ -d /run/systemd/system ]; then
        systemctl start docker
    else
        # A pid file left by a killed engine would hold the new one back.
        for engine_pair in /var/run/docker.pid:dockerd /var/run/docker/containerd/containerd.pid:containerd; do
            engine_pid=$(cat "${engine_pair%%:*}" 2>/dev/null) || continue
            [ "$(cat "/proc/$engine_pid/comm" 2>/dev/null)" = "${engine_pair#*:}" ] || rm -f "${engine_pair%%:*}"
        done
        # In a session of its own: a Ctrl-C for this shell is not meant for the engine.
        setsid dockerd >>"${WHERRY_ENGINE_LOG:-/var/log/dockerd.log}" 2>&1 </dev/null &
    fi
    engine_tries=0
    until engine_answers; do
        engine_tries=$((engine_tries + 1))
        if [ "$engine_tries" -ge 150 ]; then
            echo "The Docker Engine did not answer within 30 seconds: see ${WHERRY_ENGINE_LOG:-/var/log/dockerd.log}, or 'journalctl -u docker'." >&2
            return 1
        fi
        sleep 0.2
    done
}

# Register the OCI runtime "wherry" with the engine. Argument: a python that has Wherry installed.
# An engine that cannot be told runs tasks all the same, with a pause container each; so that is no failure.
engine_register() {
    "$1" -m wherry.agent.runtime.registration || return 1
    # The engine reloads in its own time; whoever starts an agent next should find the runtime there.
    engine_tries=0
    until docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"wherry"'; do
        engine_tries=$((engine_tries + 1))
        [ "$engine_tries" -lt 10 ] || break
        sleep 0.2
    done
}

# All of it: install, start, register. Argument: a python that has Wherry installed.
engine_up() {
    if ! engine_answers; then
        engine_install && engine_start || return 1
    fi
    engine_install && engine_register "$1"
}
