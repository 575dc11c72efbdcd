#!/usr/bin/env bash
# Builds for 64-bit Arm and runs the tests under emulation; arguments go to ctest.
# The emulated CPU has every extension; QEMU_CPU=cortex-a53 shows that nothing beyond the baseline is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages cmake ninja-build g++-aarch64-linux-gnu qemu-user-static python3-numpy

# The Arm libraries are unpacked, not installed: their -dev packages would push out the native ones. apt-get resolves what they
# depend on in a state of its own, as on an empty Arm machine, so the system's package lists stay as they are.
# On Ubuntu, apt's sources must include the mirror of its ports.
sysroot=build/aarch64-sysroot
packages=(libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libgmock-dev libbenchmark-dev libstdc++6)
if [[ ! -e $sysroot/packages || $(<$sysroot/packages) != "${packages[*]}" ]]; then
  rm -rf $sysroot build/aarch64-apt
  mkdir -p $sysroot build/aarch64-apt/{state/lists,cache/archives}/partial
  touch build/aarch64-apt/state/status
  apt_arm64=(apt-get -qq -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o Dir::State="$PWD/build/aarch64-apt/state" -o Dir::State::status="$PWD/build/aarch64-apt/state/status"
    -o Dir::Cache="$PWD/build/aarch64-apt/cache")
  "${apt_arm64[@]}" update
  "${apt_arm64[@]}" --no-install-recommends --download-only install "${packages[@]}"
  for deb in build/aarch64-apt/cache/archives/*.deb; do
    dpkg -x "$deb" $sysroot
  done
  [[ -e $sysroot/lib ]] || ln -s usr/lib $sysroot/lib  # where the packages have everything below /usr
  rm -r build/aarch64-apt
  echo "${packages[*]}" >$sysroot/packages  # last: an interrupted run starts over
fi

cmake --preset aarch64 -DPython3_EXECUTABLE=/usr/bin/python3
cmake --build --preset aarch64
# Emulated threads that lose a wake-up wait for ever, hence both limits.
timeout -k 10 3600 ctest --preset aarch64 -j "$(nproc)" --timeout 1800 "$@"
