#!/usr/bin/env bash
# The README's way on fresh distributions: debootstrap makes each of them in target/distros, with make and
# nothing else of what comux needs; set-up, demo, build and some tests of the system run there. Needs root.
# Rust and cargo's downloads are this machine's. Takes some 20 minutes each on two cores.
#
#   run.sh [SUITE…]     of trixie (Debian 13) and noble (Ubuntu 24.04)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/distros
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# What shows that the build works, and that results sit on the right pictures with that FFmpeg.
tests=(fixture:: identity:: codecs::)
suites=("$@")
[ $# -gt 0 ] || suites=(trixie noble)
export PATH=$PATH:/usr/sbin
. "$here/archives.sh"

say() { printf 'distros: %s\n' "$*" >&2; }
[ "$(id -u)" -eq 0 ] || { say "debootstrap and chroot need root"; exit 1; }

# With mounts of its own, which end with it.
[ -n "${MOUNTS_ARE_OURS:-}" ] ||
    MOUNTS_ARE_OURS=yes exec unshare --mount --propagation private "$0" "$@"

# make_system SUITE SYSTEM
make_system() {
    local suite=$1 system=$2 script=() trust=()
    case $suite in
        # As older versions of debootstrap, and machines without Ubuntu's keys, don't know it.
        noble) script=(gutsy) trust=(--no-check-gpg) ;;
    esac
    rm -rf "$system"
    mkdir -p "$system"
    debootstrap --variant=minbase --include=ca-certificates,make "${trust[@]}" \
        --components="$([ "$suite" = noble ] && echo main,universe || echo main)" \
        "$suite" "$system" "$(archive_of "$suite")" "${script[@]}" >"$system.log" 2>&1 ||
        { tail -n 20 "$system.log" >&2; return 1; }
}

# The commands of a newcomer; `$tests` are names of tests.
newcomer() {
    cat <<'SCRIPT'
set -euo pipefail
cd /comux
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
make demo
make setup-test
cargo build --quiet --workspace --all-targets
for plugin in plugins/*/ tests/plugins/*/; do target/debug/comux plugin build "$plugin"; done
cargo test --workspace --test system -- $tests
SCRIPT
}

for suite in "${suites[@]}"; do
    system=$work/$suite
    say "$suite: a fresh one"
    make_system "$suite" "$system"
    cp /etc/resolv.conf /etc/hosts "$system/etc/"
    # Certificates that this machine trusts beside the usual ones, if any.
    cp -a /usr/local/share/ca-certificates/. "$system/usr/local/share/ca-certificates/"
    chroot "$system" update-ca-certificates >/dev/null 2>&1
    mkdir -p "$system"/{comux,rustup,cargo}
    git -C "$root" ls-files -z | (cd "$root" && xargs -0 cp --parents -t "$system/comux")
    mount --bind "$rustup_home" "$system/rustup"
    mount --bind "$cargo_home" "$system/cargo"
    mount -t proc proc "$system/proc"
    mount --rbind /sys "$system/sys"
    mount --rbind /dev "$system/dev"
    chroot "$system" env -i HOME=/root LANG=C.UTF-8 PATH=/cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        RUSTUP_HOME=/rustup CARGO_HOME=/cargo tests="${tests[*]}" bash -c "$(newcomer)"
    say "$suite: passed, with $(chroot "$system" ffmpeg -version | head -n 1)"
done
