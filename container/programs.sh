#!/bin/sh
# Builds both programs as an image wants them, static and without symbols, on the host as in the
# Dockerfile's build stage:
#
#   container/programs.sh PROFILE DIR
#
# Proc macros cannot be static, hence `--target`. Packed relocations spare half a megabyte. The paths of
# this machine are replaced, so that two machines build the same.
set -eu

profile=$1
programs=$(mkdir -p "$2" && cd "$2" && pwd)
cd "$(dirname "$0")/.."

target=$(uname -m)-unknown-linux-gnu
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs \
--remap-path-prefix=$PWD=/src/vane --remap-path-prefix=$cargo_home=/src/cargo"

cargo build --locked --profile "$profile" --target "$target" -p vaned -p vane \
    --config "profile.$profile.debug=false" --config "profile.$profile.strip=true"

built=${CARGO_TARGET_DIR:-target}/$target/$profile
cp "$built/vaned" "$built/vane" "$programs/"
