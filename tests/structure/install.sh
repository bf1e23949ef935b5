#!/bin/sh
# What `meson install` puts there is whole: programs, header, libraries, manual pages; and agent/examples/hello.c builds
# against it with pkg-config alone, shared and static, and runs.
# Usage: install.sh SOURCE_ROOT BUILD_ROOT MESON PKG_CONFIG CC...
set -eu
source=$1 build=$2 meson=$3 pkg_config=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/run" "$work/data"
export TASKFORGE_RUNTIME_DIR="$work/run"

fail() {
    echo "FAIL: $1"
    exit 1
}

DESTDIR=$work/root "$meson" install -C "$build" --no-rebuild --quiet >"$work/log" 2>&1 || { cat "$work/log"; fail "meson install"; }
there() { # there NAME: exactly one file or link of this name, not empty
    found=$(find "$work/root" -name "$1" -size +0)
    [ -n "$found" ] && [ "$(echo "$found" | wc -l)" -eq 1 ] || fail "$1 is not installed once, but: $found"
}
for name in taskforge-agent taskforge-alerter taskforge-collector taskforge-exporter tfctl tflog tfmetric tfrun taskforge.h libtaskforge.a libtaskforge.so taskforge.pc \
    rules.yaml taskforge.yaml; do
    there "$name"
done
for page in "$source"/deploy/man/*; do there "${page##*/}"; done

pc=$(find "$work/root" -name taskforge.pc)
export PKG_CONFIG_SYSROOT_DIR="$work/root"
export PKG_CONFIG_LIBDIR="${pc%/*}"
library=${pc%/pkgconfig/*}
cd "$work"
"$@" -o shared "$source/agent/examples/hello.c" $("$pkg_config" --cflags --libs taskforge) || fail "shared does not link"
LD_LIBRARY_PATH=$library ./shared || fail "shared does not run"
"$@" -static -o static "$source/agent/examples/hello.c" $("$pkg_config" --static --cflags --libs taskforge) 2>"$work/log" ||
    { cat "$work/log"; fail "static does not link"; }
./static || fail "static does not run"
"$(find "$work/root" -name tfctl)" tail --runtime-dir "$work/run" --data-dir "$work/data" -s hello >entries
[ "$(wc -l <entries)" -eq 2 ] || { cat entries; fail "tfctl does not find both entries in the ring"; }
echo "installed, built against and run"
