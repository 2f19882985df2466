#!/bin/sh
# Check the files of this folder with `nginx -t`, with a certificate made for the purpose.
set -eu
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost \
    -keyout "$work/privkey.pem" -out "$work/fullchain.pem" 2> "$work/log" || { cat "$work/log"; exit 1; }
for upstream in local compose; do
    sed "s|/etc/nginx/tls|$work|; s|/etc/nginx/tenuto/upstream.conf|$here/$upstream.conf|" \
        "$here/tenuto.conf" > "$work/tenuto.conf"
    printf 'pid %s/pid; error_log stderr; events {} http { access_log off; include %s/tenuto.conf; }\n' \
        "$work" "$work" > "$work/nginx.conf"
    found=$(PATH=$PATH:/usr/sbin nginx -t -q -e stderr -p "$work" -c "$work/nginx.conf" 2>&1) || true
    if [ -n "$found" ]; then echo "$found"; exit 1; fi
done
echo "nginx: ok"
