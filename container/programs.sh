#!/bin/sh
# Builds both programs as an image wants them, static and without symbols, on the host as in the
# Dockerfile's build stage:
#
#   container/programs.sh DIR
#
# Proc macros cannot be static, hence `--target`. Packed relocations spare half a megabyte. The paths of
# this machine do not get into the programs.
set -eu

programs=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."

target=$(uname -m)-unknown-linux-gnu
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs \
--remap-path-prefix=$PWD=/src/vane --remap-path-prefix=$cargo_home=/src/cargo"

cargo build --locked --release --target "$target" -p vaned -p vane \
    --config profile.release.debug=false --config profile.release.strip=true

built=${CARGO_TARGET_DIR:-target}/$target/release
cp "$built/vaned" "$built/vane" "$programs/"
