#!/bin/sh
# Check compose.yml with `docker compose`, or with Debian's docker-compose (1.29: without `name`).
set -eu
cd "$(dirname "$0")"
if docker compose version > /dev/null 2>&1; then
    docker compose --file compose.yml config --quiet
else
    sed '/^name:/d' compose.yml | docker-compose --file - config --quiet
fi
echo "compose: ok"
