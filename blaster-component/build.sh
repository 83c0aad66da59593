#!/bin/sh
# Builds blaster-component.wasm for wasm32-unknown-unknown.
#
# That target's standard library comes from the first of these that is to be had:
#   1. the Rust toolchain, where `rustup target add` was run before
#   2. Debian's rustc-web and rust-web-src, which compile it from its sources
#   3. `rustup target add`, which downloads it
# Debian goes before the download, since a machine may reach its distribution
# but not Rust's servers, and the other way round is caught by 3.
set -eu
cd "$(dirname "$0")"

target=wasm32-unknown-unknown
output=$PWD/blaster-component.wasm

say() { echo "component: $*"; }
die() { echo "component: $*" >&2; exit 1; }

command -v cargo >/dev/null && command -v rustc >/dev/null ||
    die "cargo and rustc are needed: install Rust 1.95 or newer with rustup"
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$sysroot/lib/rustlib/$host/bin
[ -x "$tools/wasm-component-ld" ] ||
    die "$tools/wasm-component-ld is missing: it comes with the toolchains that rustup installs"

target_is_installed() { [ -d "$sysroot/lib/rustlib/$target/lib" ]; }
# The package's own rustc, not one that is first in PATH.
debian_is_installed() { [ -x /usr/bin/rustc ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]; }

install_debian() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    say "installing Debian's rustc-web and rust-web-src, for the standard library of $target"
    apt-get update -qq </dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            rustc-web rust-web-src </dev/null >/dev/null
}

install_target() {
    command -v rustup >/dev/null || return 1
    say "installing the standard library of $target with rustup"
    rustup target add "$target" </dev/null
}

if target_is_installed; then
    from=toolchain
elif debian_is_installed || { install_debian && debian_is_installed; }; then
    from=debian
elif install_target && target_is_installed; then
    from=toolchain
else
    die "no standard library for $target: run \`rustup target add $target\`, or as root on Debian \`apt-get install rustc-web rust-web-src\`, and try again"
fi

# wasm-component-ld looks for wasm-ld in PATH. Named by their paths instead, the
# two would make the output depend on where the toolchain lies.
PATH=$tools:$tools/gcc-ld:$PATH
export PATH
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-component-ld
# Flags, each ended by a unit separator, so that a path may hold spaces.
flags=
flag() { flags=$flags${flags:+$(printf '\037')}$1; }
flag -Clink-arg=--wasi-adapter=none
# Paths are embedded for panics that nobody sees. Without those of this machine
# the same sources and compiler give the same bytes anywhere.
flag "--remap-path-prefix=$PWD=/blaster-component"
flag "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
set -- build --locked --release --quiet --target "$target"
if [ "$from" = debian ]; then
    say "building with Debian's $(/usr/bin/rustc --version) and its sources of the standard library"
    flag "--remap-path-prefix=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust=/rust"
    # -Zbuild-std is an unstable flag, which a stable compiler takes only so.
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    set -- "$@" -Zbuild-std=std,panic_abort -Zbuild-std-features=
else
    say "building with $(rustc --version)"
fi
export CARGO_ENCODED_RUSTFLAGS="$flags"
# A directory of its own: cargo would otherwise rebuild all when another rustc
# has used it.
export CARGO_TARGET_DIR="${COMPONENT_TARGET_DIR:-$PWD/target}"
cargo "$@" </dev/null

# The name stays whole while the file is written, for a receiver that reads it.
cp "$CARGO_TARGET_DIR/$target/release/blaster_component.wasm" "$output.new"
mv "$output.new" "$output"
say "blaster-component.wasm, $(wc -c <"$output") bytes"
