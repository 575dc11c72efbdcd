#!/usr/bin/env bash
# Runs tests of the AVX512F kernels on an emulated processor that has AVX512F, for machines that do not; arguments are the
# names of tests in place of those below. QEMU has no AVX512: Debian's kernel is booted in Bochs, some 100 times slower, with
# nothing else in memory than the tests and what they are linked with. As many emulators as there are processors share the
# tests; sparse samples are taken, as of NEON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libbenchmark-dev \
  bochs bochs-term cpio genisoimage isolinux syslinux-common

tests=("$@")
((${#tests[@]})) || tests=(f32_microkernels_test typed_microkernels_test f32_softmax_kernel_test element_function_test
  softmax_nc_test)
# Bochs 2.7 rounds ties of f16 away from zero, so that what writes f16 is not tested. Tests that take minutes are left out: most
# of the operator, and the bits of whole rows as lanes, of which ElementFunction tests the exponentials.
filter='*avx512f*:ElementFunction.*-*f16_v*:*avx512f_f16:*avx512f_f32_f16:*EveryFamily*:*OneInAThousand*:*Threads*:*OneRowAtATime*transposed*'
emulators=$(nproc)
seconds=1200
# Linux turns AVX off where compact states, of xsavec and xsaves, have another size than it computed, which is so in Bochs 2.7.
# The others make the start shorter.
options='clearcpuid=xsavec,xsaves mitigations=off cryptomgr.notests tsc=reliable no_timer_check'

cmake --preset release -DPython3_EXECUTABLE=/usr/bin/python3
cmake --build --preset release --target "${tests[@]}"

# The kernel is unpacked, not installed: nothing is to boot this machine from it. The package without a version in its name
# depends on the one that has it.
download_kernel() {
  local package
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p') &&
    (cd build/avx512/kernel && apt-get -qq -o APT::Sandbox::User= download "$package")
}
if [[ ! -e build/avx512/vmlinuz ]]; then
  rm -rf build/avx512/kernel
  mkdir -p build/avx512/kernel
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  download_kernel || { "${as_root[@]}" apt-get -qq update && download_kernel; }
  dpkg -x build/avx512/kernel/*.deb build/avx512/kernel
  mv build/avx512/kernel/boot/vmlinuz-* build/avx512/vmlinuz
  rm -r build/avx512/kernel
fi

# start EMULATOR: boots one from a compact disc that is made for it. What its console shows comes to build/avx512/N/console.
start() {
  local directory=build/avx512/$1 root=build/avx512/$1/root objects programs=(/bin/sh /bin/mount /bin/sleep)
  rm -rf "$directory"
  mkdir -p "$directory/disc" "$root"/{proc,sys,test}
  cp "${tests[@]/#/build/release/test/}" "$root/test"
  mapfile -t objects < <(ldd "$root"/test/* "${programs[@]}" | sed -nE 's|^\s(.* => )?(/[^ ]+) .*|\2|p' | sort -u)
  cp --parents --dereference "${programs[@]}" "${objects[@]}" "$root"
  # The kernel starts /init, and switches off at the letter o, once the console has said all. GoogleTest takes its share of the
  # tests by itself.
  cat >"$root/init" <<EOF
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
export SMXPACK_SPARSE_TESTS=1 GTEST_BRIEF=1 GTEST_COLOR=no GTEST_TOTAL_SHARDS=$emulators GTEST_SHARD_INDEX=$1
for test in ${tests[*]}; do
  /test/\$test '--gtest_filter=$filter'
  status=\$?
  read -r seconds idle </proc/uptime
  echo "\$test: exit \$status, \$seconds s"
done
sleep 1
echo o >/proc/sysrq-trigger
read -r forever
EOF
  chmod +x "$root/init"
  (cd "$root" && find . | cpio --quiet --create --format=newc >../disc/initrd)
  cp build/avx512/vmlinuz /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$directory/disc"
  cat >"$directory/disc/isolinux.cfg" <<EOF
default vmlinuz initrd=initrd console=ttyS0,115200 loglevel=1 $options
EOF
  genisoimage -quiet -o "$directory/disc.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
    "$directory/disc"
  cat >"$directory/bochsrc" <<EOF
config_interface: textconfig
display_library: term
cpu: model=corei7_skylake_x, ips=100000000
megs: 512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=$directory/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$directory/console
log: $directory/log
panic: action=fatal
EOF
  # Debian's Bochs waits for a debugger's command, and draws its screen on a terminal.
  echo continue >"$directory/commands"
  TERM=vt100 timeout -k 10 $seconds script -qc "bochs -q -f $directory/bochsrc -rc $directory/commands" "$directory/screen" \
    </dev/null >/dev/null &
}

for ((emulator = 0; emulator < emulators; emulator++)); do
  start $emulator
done
wait

# A share without tests would prove nothing.
failures=0
for ((emulator = 0; emulator < emulators; emulator++)); do
  console=build/avx512/$emulator/console
  tr -d '\r' <"$console"
  for test in "${tests[@]}"; do
    grep -q "^$test: exit 0," "$console" && continue
    echo "$test: failed, or not ended, in $console"
    failures=$((failures + 1))
  done
  ! grep -q 'PASSED.* 0 tests' "$console" || failures=$((failures + 1))
done
exit $((failures > 0))
