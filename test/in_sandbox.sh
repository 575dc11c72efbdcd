#!/usr/bin/env bash
# Runs a program in a file system that holds it, its shared objects, and files of this one that are named: neither /proc nor
# /sys. Root needs nothing for that; others need user namespaces.
#
#     in_sandbox.sh DIRECTORY [FILE...] -- PROGRAM [ARGUMENT...]     DIRECTORY is made anew
set -euo pipefail
root=$1
shift
rm -rf "$root"
mkdir -p "$root"
while (($#)); do
  [[ $1 != -- ]] || break
  mkdir -p "$root$(dirname "$1")"
  cat "$1" >"$root$1"
  shift
done
program=$2
shift 2
mapfile -t objects < <(ldd "$program" | grep -o '/[^ ]*')
cp --parents --dereference "${objects[@]}" "$root"
cp "$program" "$root/program"
as_root=()
((EUID == 0)) || as_root=(unshare --map-root-user)
PATH+=:/usr/sbin exec "${as_root[@]}" chroot "$root" /program "$@"
