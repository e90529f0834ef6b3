#!/usr/bin/env bash
# Makes a real QEMU available to tests/live.rs and prints where it is, as QEMU_SYSTEM_X86_64=COMMAND.
#
#   install-qemu.sh [DIRECTORY [PACKAGE...]]
#
# A QEMU that is there already is used: the one that $QEMU_SYSTEM_X86_64 names, else the one in PATH. Otherwise
# Debian's qemu-system-x86 (or the packages given) is unpacked into DIRECTORY (default: live-qemu in the cargo target
# directory) together with the libraries that this system does not have. Nothing is installed: the distribution's QEMU
# may conflict with newer QEMU tools that are. Packages come through apt as it is set up here. Running it again is quick.
set -euo pipefail

say() { echo "install-qemu: $*" >&2; }

works() { "$1" --version >/dev/null 2>&1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${1:-${CARGO_TARGET_DIR:-$here/../../target}/live-qemu}
shift || true
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(qemu-system-x86)

for found in "${QEMU_SYSTEM_X86_64:-}" "$(command -v qemu-system-x86_64 || true)"; do
  if [ -n "$found" ] && works "$found"; then
    echo "QEMU_SYSTEM_X86_64=$found"
    exit 0
  fi
done

mkdir -p "$root"
root=$(cd "$root" && pwd)
wrapper=$root/bin/qemu-system-x86_64
done_mark=$root/.unpacked
if [ -e "$done_mark" ] && [ "$(cat "$done_mark")" = "${packages[*]}" ] && works "$wrapper"; then
  echo "QEMU_SYSTEM_X86_64=$wrapper"
  exit 0
fi

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
  say "there is no qemu-system-x86_64 in PATH, and no apt to fetch one with; set QEMU_SYSTEM_X86_64"
  exit 1
}

export DEBIAN_FRONTEND=noninteractive
log=$root/apt.log
: >"$log"
# a new machine has no package lists, and lists that have aged name files that the mirror no longer has
fresh_lists() {
  say "fetching package lists"
  apt-get update -q >>"$log" 2>&1 || say "apt-get update failed (see $log); going on with the lists there are"
}
known() { apt-cache show --no-all-versions "${packages[@]}" >/dev/null 2>&1; }
known || fresh_lists
known || { say "apt does not know ${packages[*]}"; exit 1; }

rm -rf "$root/debs" "$root/fs" "$done_mark"
mkdir -p "$root/debs/partial" "$root/fs"

# the packages and what of their needs this system lacks, as apt would install them
fetch_as_installed() {
  apt-get install -y -q --download-only --no-install-recommends \
    -o Dir::Cache::archives="$root/debs" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "${packages[@]}" >>"$log" 2>&1
  ls "$root"/debs/*.deb >/dev/null 2>&1
}

# where apt sees a conflict: the packages and all that they need, one by one
fetch_closure() {
  local names
  names=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "${packages[@]}" | grep -E '^[a-z0-9]' | sort -u)
  local wanted=() name
  for name in $names; do
    case $name in
      qemu-* | seabios | ipxe-qemu) wanted+=("$name") ;;
      *) dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || wanted+=("$name") ;;
    esac
  done
  (cd "$root/debs" && apt-get download -q -o APT::Sandbox::User=root "${wanted[@]}" >>"$log" 2>&1)
}

say "fetching ${packages[*]}"
fetch_as_installed || { fresh_lists; fetch_as_installed; } || fetch_closure || {
  say "apt could not fetch ${packages[*]}:"
  tail -n 20 "$log" >&2
  exit 1
}
for deb in "$root"/debs/*.deb; do dpkg-deb -x "$deb" "$root/fs"; done
rm -rf "$root/debs"

# The dynamic loader gets the libraries by argument: unlike LD_LIBRARY_PATH that does not reach the commands that QEMU
# starts (`migrate "exec:…"`).
mkdir -p "$root/bin"
for binary in "$root"/fs/usr/bin/qemu-system-*; do
  [ -x "$binary" ] && [ ! -L "$binary" ] || continue
  cat >"$root/bin/$(basename "$binary")" <<'WRAPPER'
#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd) fs=$root/fs name=$(basename "$0")
loader= libraries=
for l in "$fs"/lib*/ld-linux*.so.* "$fs"/usr/lib*/ld-linux*.so.* /lib64/ld-linux*.so.* /lib/ld-linux*.so.*; do
  [ -z "$loader" ] && [ -e "$l" ] && loader=$l
done
for d in "$fs"/lib/*-linux-gnu* "$fs"/usr/lib/*-linux-gnu* "$fs"/usr/lib/*-linux-gnu*/pulseaudio; do
  [ -d "$d" ] && libraries=$libraries${libraries:+:}$d
done
for d in "$fs"/usr/lib/*-linux-gnu*/qemu; do [ -d "$d" ] && QEMU_MODULE_DIR=$d && export QEMU_MODULE_DIR; done
exec "$loader" --library-path "$libraries" "$fs/usr/bin/$name" -L "$fs/usr/share/qemu" -L "$fs/usr/share/seabios" "$@"
WRAPPER
  chmod +x "$root/bin/$(basename "$binary")"
done

if ! works "$wrapper"; then
  say "what was unpacked into $root does not run:"
  "$wrapper" --version >&2 || true
  exit 1
fi
printf '%s' "${packages[*]}" >"$done_mark"
say "$("$wrapper" --version | head -n 1)"
echo "QEMU_SYSTEM_X86_64=$wrapper"
