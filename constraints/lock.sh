#!/bin/sh
# Writes the pinned versions, with hashes and without addresses. Needs uv; run it after changing
# the dependencies in pyproject.toml.
set -eu
cd "$(dirname "$0")/.."
for name in run dev; do
  extras="--extra all"
  [ "$name" = dev ] && extras="$extras --extra dev"
  # hatchling and editables build the package itself: pip then needs no isolated download.
  # shellcheck disable=SC2086
  printf "hatchling\neditables\n" | uv pip compile pyproject.toml - $extras --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    --quiet --output-file "constraints/$name.txt"
done
# Not in `all`. `make test-ray` adds it to the environment of the tests, which it must not change.
uv pip compile pyproject.toml --extra ray --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
  --constraint constraints/dev.txt --output-file constraints/ray.txt
# The tools of the documentation site and of releases have environments of their own.
for group in docs release; do
  uv pip compile --group "$group" --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
    --output-file "constraints/$group.txt"
done
