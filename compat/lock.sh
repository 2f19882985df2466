#!/bin/sh
# Writes the pinned versions, with hashes, of each Python client and all that it needs. Needs uv;
# run it after changing a requirements.in.
set -eu
cd "$(dirname "$0")/clients"
for client in */requirements.in; do
  uv pip compile "$client" --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
    --output-file "${client%.in}.txt"
done
