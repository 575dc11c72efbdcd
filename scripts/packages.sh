# Sourced by the other scripts.

# What scripts/mca.py runs: llvm-mca, and the compilers for both processors; this one's is there without the triplet, too.
mca_packages=(llvm-19 g++ "g++-$([[ $(uname -m) == aarch64 ]] && echo x86-64 || echo aarch64)-linux-gnu")

# require_packages PACKAGE...
#
# Installs those of the packages that are missing (Debian, Ubuntu). With all of them present it needs neither a network nor root.
# A system without apt-get is told what is needed, and the caller goes on: the same may be there under other names.
require_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "Needed, under Debian's names: $*" >&2
    return
  fi

  local package missing=() as_root=()
  for package; do
    [[ $(dpkg-query -W -f '<${db:Status-Status}>' "$package" 2>/dev/null) == *'<installed>'* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  ((EUID == 0)) || as_root=(sudo)
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=600 install "${missing[@]}")
  echo "Installing ${missing[*]}"
  # The package lists may be absent or stale; they are fetched only if the first attempt fails.
  "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get -qq update && "${install[@]}" >/dev/null; }
}
