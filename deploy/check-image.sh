#!/bin/sh
# Build the image with buildah, and run it with a root that nobody can write. Needs root, and
# Debian's packages buildah, debootstrap and bubblewrap; takes some minutes, and 3 GB in TMPDIR.
#
#   deploy/check-image.sh [OPTION]...
#
# Options are those of `buildah build`, such as --volume for certificates that pip needs. Without
# the variable BASE, the base is a Debian of debootstrap, so that no registry of images is needed.
set -eu
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot
image() { buildah --root "$work/storage" --runroot "$work/run" "$@"; }
server=
finish() {
    if [ -n "$server" ]; then kill "$server" 2> /dev/null || true; fi
    image umount --all > /dev/null 2>&1 || true
    rm -rf --one-file-system "$work"
}
trap finish EXIT

if [ -z "${BASE:-}" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv bookworm "$work/debian" > "$work/log" \
        || { tail "$work/log"; exit 1; }
    from=$(image from scratch)
    image add --quiet "$from" "$work/debian" / > /dev/null
    BASE=localhost/debian
    image commit --quiet --rm "$from" "$BASE" > /dev/null
fi
image build --quiet --format docker --build-arg "BASE=$BASE" --file "$here/Dockerfile" --tag tenuto \
    "$@" "$here/.." > /dev/null
container=$(image from tenuto)
root=$(image mount "$container")
config() { image inspect --format "{{with .Docker.Config}}$1{{end}}" "$container"; }
user=$(config '{{.User}}')
case $user in
    0* | *[!0-9:]*) echo "The user is not numeric, or root: $user"; exit 1 ;;
esac

# As `docker run --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp`: the
# command of the image, its environment and its user; the network is the machine's.
mkdir "$work/volume"
chown "$user" "$work/volume"
chmod 700 "$work/volume"
config '{{range .Env}}{{println .}}{{end}}' | sed '/^$/d' > "$work/environment"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
inside() {
    env -i $(cat "$work/environment") TENUTO_SERVER_PORT="$port" \
        "$(command -v bwrap)" --ro-bind "$root" / --dev /dev --proc /proc --tmpfs /tmp --chmod 1777 /tmp \
        --bind "$work/volume" "$(config '{{range $path, $_ := .Volumes}}{{$path}}{{end}}')" \
        --unshare-pid --as-pid-1 --unshare-ipc --die-with-parent --info-fd 3 --chdir "$(config '{{.WorkingDir}}')" \
        setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs \
        --bounding-set=-all --inh-caps=-all "$@" 3> "$work/process"
}
if inside /usr/bin/touch /opt/tenuto/written 2> /dev/null; then echo "The root can be written"; exit 1; fi
key=$(inside tenuto keys create check | grep -o 'sk-[^ ]*')
rm "$work/process"
inside $(config '{{range .Entrypoint}}{{println .}}{{end}}{{range .Cmd}}{{println .}}{{end}}') \
    > "$work/log" 2>&1 &
server=$!
until [ -s "$work/process" ]; do sleep 0.1; done
first=$(sed -n 's/.*"child-pid": *\([0-9]*\).*/\1/p' "$work/process")
for _ in $(seq 120); do
    if inside $(config '{{range slice .Healthcheck.Test 1}}{{println .}}{{end}}') 2> /dev/null; then break; fi
    kill -0 "$server" || { cat "$work/log"; exit 1; }
    sleep 0.5
done
completed=$(inside env TENUTO_API_KEY="$key" tenuto complete --base-url "http://127.0.0.1:$port" \
    "What is the capital of France?") || { cat "$work/log"; exit 1; }
echo "The built-in model: $completed"
rights=$(awk '/^(Uid|CapEff|NoNewPrivs):/ {print $2}' "/proc/$first/status" | xargs)
[ "$rights" = "${user%:*} 0000000000000000 1" ] || { echo "The server has other rights: $rights"; exit 1; }
kill "$first"
if wait "$server"; then echo "The stop: exit status 0"; else cat "$work/log"; exit 1; fi
server=
if grep -i -E 'error|warning|traceback' "$work/log"; then exit 1; fi
inside tenuto usage --by key
[ -s "$work/volume/store.db" ] || { echo "No store on the volume"; exit 1; }
echo "image: ok"
