#!/bin/sh
# The Dockerfile's build stage: puts together what the image consists of.
#
#   container/root.sh DIR
#
# DIR/system belongs to root, DIR/daemon to the user of the daemon.
set -eu

image=$1
cd "$(dirname "$0")/.."

programs=prebuilt
if [ ! -e $programs/vaned ]; then
    # A layer is kept as a whole, so what is only on the way to the programs must not stay in it.
    CARGO_TARGET_DIR=$(mktemp -d)
    export CARGO_TARGET_DIR
    sh container/programs.sh $programs
    rm -rf "$CARGO_TARGET_DIR"
fi
roots=$programs/roots
if [ ! -e $roots ]; then
    roots=/usr/share/ca-certificates/mozilla
fi

mkdir -p "$image/system/usr/bin" "$image/system/etc/ssl/certs" "$image/system/usr/share/doc/vane"
cp $programs/vaned $programs/vane "$image/system/usr/bin/"
cat $roots/*.crt >"$image/system/etc/ssl/certs/ca-certificates.crt"
cp -R container/etc/. "$image/system/etc/"
cp LICENSE-APACHE LICENSE-MIT "$image/system/usr/share/doc/vane/"
chmod -R u=rwX,go=rX "$image/system"

# Both directories have their owner from the Dockerfile. Group 0 writes too, since platforms that
# pick a user pick no group; the socket may be made by whoever runs.
mkdir -p "$image/daemon/var/lib/vaned" "$image/daemon/run/vaned" "$image/system/var/lib" "$image/system/run"
chmod 0770 "$image/daemon/var/lib/vaned"
chmod 1777 "$image/daemon/run/vaned"
