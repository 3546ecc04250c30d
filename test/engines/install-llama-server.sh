#!/usr/bin/env bash
# Unpacks Debian's llama.cpp-tools from sid, with the C library that it was built for, into a folder of its own. The host's own
# packages stay as they are. Usage: install-llama-server.sh FOLDER; the last line printed is the folder to put on PATH.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
root=$folder/root
bin=$folder/bin
if [[ -x $bin/llama-server ]]; then echo "$bin"; exit 0; fi

for command in apt-get dpkg; do
  command -v "$command" >/dev/null || { echo "not installed: this host has no $command" >&2; exit 1; }
done
# The mirror that this host uses already.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 -E '/debian/?$') ||
  { echo "not installed: this host's packages do not come from a Debian mirror" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -r $keyring ]] || { echo "not installed: no $keyring to check signatures with" >&2; exit 1; }

state=$folder/apt
mkdir -p "$state"/{lists/partial,archives/partial,etc/apt.conf.d,etc/preferences.d,log} "$root" "$bin"
: >"$state/status"
echo "deb [signed-by=$keyring] $mirror sid main" >"$state/sources.list"
apt() {
  apt-get -q -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Acquire::Retries=2 -o Acquire::Languages=none \
    -o Dir::Etc="$state/etc" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::State::lists="$state/lists" \
    -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" -o Dir::Log="$state/log" "$@"
}
apt update >"$folder/apt.log" 2>&1 && apt install -y --download-only llama.cpp-tools >>"$folder/apt.log" 2>&1 ||
  { tail -n 5 "$folder/apt.log" >&2; echo "not installed: sid's llama.cpp-tools could not be downloaded" >&2; exit 1; }
for package in "$state"/archives/*.deb; do dpkg -x "$package" "$root"; done

loader=$(find "$root" -name 'ld-linux-*.so.*' | head -n 1)
# ggml looks for its backends beside the running program, which is the loader.
find "$root/usr/lib" -name 'libggml-*.so' -path '*/backends*' -exec ln -sf -t "$(dirname "$loader")" {} +
libraries=$(find "$root/usr/lib" -name '*.so*' -printf '%h\n' | sort -u | paste -sd :)
cat >"$bin/llama-server" <<SCRIPT
#!/bin/sh
exec "$loader" --library-path "$libraries" "$root/usr/bin/llama-server" "\$@"
SCRIPT
chmod +x "$bin/llama-server"
rm -rf "$state"
echo "$bin"
