#!/bin/sh
# Check the units of this folder with systemd-analyze, on copies whose program exists.
#
#   deploy/systemd/check.sh PROGRAM
#
# systemd before 253 does not know the type notify-reload; it checks Type=notify instead.
set -eu
here=$(dirname "$0")
program=$(realpath "$1")
copies=$(mktemp -d)
trap 'rm -r "$copies"' EXIT
cp "$here/tenuto.service" "$here/tenuto.socket" "$copies"
sed -i "s|^ExecStart=[^ ]*|ExecStart=$program|" "$copies/tenuto.service"
version=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "$version" -lt 253 ]; then
    echo "systemd $version: notify-reload is checked as notify"
    sed -i 's/^Type=notify-reload/Type=notify/' "$copies/tenuto.service"
fi
# Warnings, such as that of an unknown line, do not change its exit status.
found=$(systemd-analyze verify "$copies/tenuto.service" "$copies/tenuto.socket" 2>&1) || true
if [ -n "$found" ]; then
    echo "$found"
    exit 1
fi
# 0 is confined completely, 100 not at all.
if ! exposed=$(systemd-analyze security --offline=true --threshold=25 --no-pager \
    "$copies/tenuto.service"); then
    echo "$exposed"
    exit 1
fi
echo "systemd units: ok"
