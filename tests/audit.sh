#!/usr/bin/env bash
# Looks for known vulnerabilities, and yanked or unmaintained releases, among the dependencies.
#
# The database is the Git repository rustsec/advisory-db: ADVISORY_DB names a clone of it, otherwise it is
# fetched. With `--if-reachable` an unreachable one is no failure, and is said loudly.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$(dirname "$here")"
deny=${CARGO_TARGET_DIR:-target}/tools/cargo-deny
# cargo-deny's own name for a clone of the address in deny.toml.
clone=target/advisory-db/advisory-db-3157b0e258782691
address=https://github.com/rustsec/advisory-db

if [ -n "${ADVISORY_DB:-}" ]; then
    rm -rf "$clone"
    mkdir -p "$(dirname "$clone")"
    git clone -q "$ADVISORY_DB" "$clone"
elif ! GIT_TERMINAL_PROMPT=0 timeout 30 git ls-remote -q "$address" HEAD >/dev/null 2>&1; then
    printf '%s\n' '!!' \
        "!! NOT CHECKED for known vulnerabilities: $address can't be reached from here." \
        '!! Run `make audit` where it can, or with ADVISORY_DB=<a clone of it>.' '!!' >&2
    [ "${1:-}" = --if-reachable ] || exit 1
    exit 0
fi
if [ -n "${ADVISORY_DB:-}" ]; then
    printf 'audit: with the advisories of %s\n' "$(git -C "$clone" log -1 --format=%cs)"
    "$deny" --offline check advisories
else
    "$deny" check advisories
fi
