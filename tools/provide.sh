#!/usr/bin/env bash
# Provides what make cannot get from the lock files: a virtual environment, a PostgreSQL server, Node packages.
# Each is looked for first; Debian's or Ubuntu's packages fill the gap, with sudo where the user is not root.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

apt_install() {
    command -v apt-get >/dev/null || { say "expected apt-get to install $*, but found none; install it by hand"; exit 1; }
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { say "expected root or sudo to install $*"; exit 1; }
        root=(sudo)
    fi
    say "installing $*"
    "${root[@]}" apt-get update -qq </dev/null
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

venv() {
    local python=''
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || { say 'expected Python 3.11 or later, but found none; set PYTHON to its path'; exit 1; }
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv
    fi
    "$python" -m venv --clear .venv
}

case "${1:-}" in
    venv) venv ;;
    *) say 'usage: tools/provide.sh venv'; exit 2 ;;
esac
