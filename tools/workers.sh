#!/usr/bin/env bash
# Builds and unit-tests each reference worker whose toolchain is on this machine, and says which are and which are not.
#   tools/workers.sh [go | typescript | java | rust | ruby | python]…
# Ends with 1 if one whose toolchain is here does not build or fails its tests.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:$PWD/.venv/bin

has() { for tool in "$@"; do command -v "$tool" >/dev/null || return 1; done; }
ruby_with_bunny() { has ruby && ruby -e 'require "bunny"' 2>/dev/null; }
go_new() { has go && [ "$(printf '%s\n' go1.26 "$(go env GOVERSION)" | sort -V | head -1)" = go1.26 ]; }
cargo_new() { has cargo && [ "$(printf '%s\n' 1.89 "$(cargo --version | cut -d' ' -f2)" | sort -V | head -1)" = 1.89 ]; }

# Of each: what must be here, how it is tried, and how it is built and tested.
needs_go='Go 1.26 or later'
present_go() { go_new; }
make_go() { cd workers/go && go vet ./... && go build -o dist/worker . && go test ./...; }

needs_typescript='Node 20 or later'
present_typescript() { has npm node; }
make_typescript() { make --no-print-directory workers/typescript/node_modules/.installed && cd workers/typescript && npm test; }

needs_java='Java 17 or later, Maven'
present_java() { has java mvn; }
make_java() { cd workers/java && mvn --quiet --batch-mode package; }

needs_rust='Rust 1.89 or later'
present_rust() { cargo_new; }
make_rust() { cd workers/rust && cargo build --release --locked --quiet && cargo test --release --locked --quiet; }

needs_ruby='Ruby 3, bunny (Debian: ruby-bunny)'
present_ruby() { ruby_with_bunny; }
make_ruby() { cd workers/ruby && ruby test_worker.rb; }

needs_python='Python 3.11 or later, nats-py'
python_with_nats() {
    for python in .venv/bin/python python3 python; do
        if has "$python" && "$python" -c 'import sys, nats; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}
present_python() { python_with_nats >/dev/null; }
make_python() { python=$(realpath -s "$(python_with_nats)") && cd workers/python && "$python" -m unittest plain.test_plain; }

ended=0
rows=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for worker in "${@:-go typescript java rust ruby python}"; do
    for each in $worker; do
        needs="needs_$each"
        [ -n "${!needs:-}" ] || { echo "expected go, typescript, java, rust, ruby or python, found $each" >&2; exit 2; }
        if ! "present_$each"; then
            rows+=("$each|absent|needs ${!needs}")
        elif ("make_$each") >"$log" 2>&1 </dev/null; then
            rows+=("$each|built|its tests pass")
        else
            rows+=("$each|FAILED|see above")
            cat "$log" >&2
            ended=1
        fi
    done
done
for row in "${rows[@]}"; do
    IFS='|' read -r name state why <<<"$row"
    printf '%-12s%-8s%s\n' "$name" "$state" "$why"
done
exit "$ended"
