#!/bin/sh
# Compiles ipvtap.bpf.c with Debian 12's clang-14: the same bytes wherever the folder lies.
#
#     bpf/build.sh [OUTPUT]      ipvtap.bpf.o beside the source by default
set -eu
cd "$(dirname "$0")"
output=${1:-ipvtap.bpf.o}
# Paths would get into the type information; the host's own headers are the only ones that matter.
clang-14 -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -fdebug-compilation-dir=. \
	-I "/usr/include/$(uname -m)-linux-gnu" -c ipvtap.bpf.c -o "$output"
# DWARF is for nobody: the kernel wants BTF alone.
llvm-strip-14 -g "$output"
