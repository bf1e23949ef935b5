#!/bin/sh
# Fails when taskforge.h warns, or a use of it does not run, in C from C99 on or in C++ from C++11 on.
# Usage: public_header.sh SOURCE_ROOT LIBTASKFORGE.A CC...
set -eu
source=$1 library=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
built=0

try() { # try NAME COMPILER OPTION...: compiles without a warning, links, runs
    name=$1
    shift
    built=$((built + 1))
    if ! "$@" -Wall -Wextra -Wpedantic -Werror -I"$source/agent/client" "$source/tests/structure/every_call.c" \
        -x none "$library" -pthread -o "$work/every_call"; then
        echo "taskforge.h does not compile as $name"
        bad=$((bad + 1))
    elif ! TASKFORGE_RUNTIME_DIR=$work "$work/every_call"; then
        echo "what was compiled as $name does not run"
        bad=$((bad + 1))
    fi
}

for std in c99 c17; do try "$std" "$@" -std="$std" -x c; done
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    for std in c++11 c++20; do try "$compiler $std" "$compiler" -std="$std" -x c++; done
done
echo "$built programs, $bad failed"
[ "$bad" -eq 0 ]
