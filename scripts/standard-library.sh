# shellcheck shell=sh disable=SC2034
# For scripts: finds Rust's standard library for another target than this machine's. It comes
# from the first of these that is available:
#   1. the Rust toolchain, where `rustup target add` was run before
#   2. Debian's rustc-web and rust-web-src, which compile it from its sources
#   3. `rustup target add`, which downloads it
# Debian comes before the download, because a machine may reach its distribution but not
# Rust's servers. If only those can be reached, the third way works.
#
# standard_library TARGET sets `from` to toolchain or debian. With debian, it exports RUSTC and
# RUSTC_BOOTSTRAP, without which a stable compiler refuses -Zbuild-std, and sets `debian_sources`
# to the folder of the sources. The script that calls it has `say` and `die`.

target_is_installed() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }

# Uses the package's own rustc, even if another is first in PATH.
debian_is_installed() {
    [ -x /usr/bin/rustc ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

install_debian() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    say "installing Debian's rustc-web and rust-web-src, for the standard library of $1"
    apt-get update -qq </dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            rustc-web rust-web-src </dev/null >/dev/null
}

install_target() {
    command -v rustup >/dev/null || return 1
    say "installing the standard library of $1 with rustup"
    rustup target add "$1" </dev/null
}

standard_library() {
    if target_is_installed "$1"; then
        from=toolchain
    elif debian_is_installed || { install_debian "$1" && debian_is_installed; }; then
        from=debian
        debian_sources=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    elif install_target "$1" && target_is_installed "$1"; then
        from=toolchain
    else
        die "no standard library for $1: run \`rustup target add $1\`, or as root on Debian \`apt-get install rustc-web rust-web-src\`, and try again"
    fi
}
