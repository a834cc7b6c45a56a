#!/usr/bin/env bash
# Whether comux compiles against the FFmpeg of other distributions than this machine's: `cargo check`
# against development packages that are unpacked into target/ffmpeg. Nothing is installed.
#
#   ffmpeg.sh [--if-reachable] [SUITE…]     of noble (FFmpeg 6.1), trixie (7.1), sid (the newest)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
# cargo runs the build script of ffmpeg-sys-next in that crate's own directory.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
packages=(lib{avcodec,avdevice,avfilter,avformat,avutil,swresample,swscale}-dev)

if_reachable=
[ "${1:-}" != --if-reachable ] || { if_reachable=yes; shift; }
suites=("$@")
[ $# -gt 0 ] || suites=(noble trixie sid)

say() { printf 'ffmpeg: %s\n' "$*" >&2; }
. "$here/archives.sh"

# unpack SUITE DIRECTORY: makes DIRECTORY/include and DIRECTORY/lib of the suite's packages. An apt with
# lists and a cache of its own, so that this machine's stays as it is.
unpack() {
    local suite=$1 directory=$2 apt=$2/apt source
    case $suite in
        # Debian has no package of Ubuntu's keys. What is fetched is read by a compiler, on a machine that
        # compares versions, and never installed.
        noble) source="[trusted=yes] $(archive_of noble) noble main universe" ;;
        *) source="$(archive_of "$suite") $suite main" ;;
    esac
    rm -rf "$directory"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$directory/unpacked"
    printf 'deb %s\n' "$source" >"$apt/sources.list"
    local options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root
        -o APT::Update::Error-Mode=any)
    apt-get "${options[@]}" update >"$apt/log" 2>&1 || return 1
    # Their headers include one another; of what they link with, only the names count.
    (cd "$apt" && apt-get "${options[@]}" download "${packages[@]}" >>log 2>&1) || return 1
    local package
    for package in "$apt"/*.deb; do
        dpkg -x "$package" "$directory/unpacked"
    done
    ln -s "$directory"/unpacked/usr/include/*-linux-* "$directory/include"
    ln -s "$directory"/unpacked/usr/lib/*-linux-* "$directory/lib"
    touch "$directory/complete"
}

for suite in "${suites[@]}"; do
    directory=$target/ffmpeg/$suite
    if [ ! -e "$directory/complete" ] && ! unpack "$suite" "$directory"; then
        tail -n 5 "$directory/apt/log" >&2
        say "!! NOT CHECKED: the packages of $suite can't be fetched from here"
        [ -n "$if_reachable" ] || exit 1
        continue
    fi
    version=$(dpkg-deb -f "$directory"/apt/libavcodec-dev_*.deb Version)
    say "FFmpeg $version of $suite"
    FFMPEG_DIR=$directory "${CARGO:-cargo}" check -q --workspace
done
