#!/bin/sh
# Builds both images with the container engine that answers here: sh images/build.sh [TAG]
# Exits 3 where none does; tests/images then proves the same steps without one.
set -eu
cd "$(dirname "$0")/.."
tag="${1:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"

for engine in podman docker; do
    if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
        for part in agent collector; do
            "$engine" build -f "images/$part/Containerfile" -t "ghcr.io/flopledger/$part:$tag" \
                --build-arg "VERSION=$tag" --build-arg "REVISION=$revision" .
        done
        exit 0
    fi
done
echo "No container engine answers: install podman, or start docker. Without one, the steps of both images are proven by
  .venv/bin/pytest tests/images" >&2
exit 3
