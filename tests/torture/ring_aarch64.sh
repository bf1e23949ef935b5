#!/bin/sh
# ring_aarch64.sh SOURCE_ROOT WORK_DIR - the ring's threads, with TASKFORGE_LONG its killed processes too, as aarch64
# programs under qemu-user. Skips where Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static (or
# qemu-user) are not installed: they are no part of deploy/packages, since they take a minute to install.
#
# What it proves: that the ring compiles without a warning and works with that machine's atomics, alignment and structs.
# What it does not: qemu runs the guest's loads and stores as its host's, and an x86 host reorders less than a real
# aarch64 does.
set -eu

root=$1 work=$2
compiler=$(command -v aarch64-linux-gnu-gcc) || exit 77
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || exit 77
[ -e /usr/aarch64-linux-gnu/include/stdio.h ] || exit 77

rm -rf "$work"
mkdir -p "$work"
cd "$root"
python3 common/base/decimal_powers.py "$work/decimal_powers.c" # as the build does it
for name in threads ${TASKFORGE_LONG:+kill}; do
    # msgpack and xxhash are headers only, behind the cross compiler's own; expressions need a library, and no ring
    "$compiler" -std=gnu11 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -DTASKFORGE_VERSION='"aarch64"' -DXXH_INLINE_ALL \
        -fno-strict-aliasing -I. -idirafter /usr/include -pthread -o "$work/ring_$name" "tests/torture/ring_$name.c" tests/torture/ring_lib.c \
        common/shm/*.c common/model/*.c "$work/decimal_powers.c" $(ls common/base/*.c | grep -v /pattern) -lm
    echo "ring/$name:"
    "$qemu" -L /usr/aarch64-linux-gnu "$work/ring_$name"
done
rm -rf "$work"
