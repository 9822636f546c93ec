#!/bin/sh
# Fills a folder with what an image runs: sh images/install.sh agent|collector FOLDER
#   FOLDER/lib   the wheel of this checkout and its dependencies, from the part's own lock, hashes checked
#   FOLDER/bin   the command `flopledger`, for whatever python3 the image has at /usr/bin
#   FOLDER/sbom.cdx.json   what is in it, as CycloneDX
# Nothing is compiled: a dependency without a wheel is an error. PYTHON has uv, hatchling and cyclonedx-bom.
set -eu
part="$1"
folder="$2"
PYTHON="${PYTHON:-python3}"
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

uv() { "$PYTHON" -m uv --quiet "$@"; }

"$PYTHON" -m hatchling build -t wheel -d "$work" 2>/dev/null
mkdir -p "$folder/lib" "$folder/bin"
uv pip install --python "$PYTHON" --target "$folder/lib" --no-deps --only-binary :all: --require-hashes \
    -r "requirements/$part.lock"
uv pip install --python "$PYTHON" --target "$folder/lib" --no-deps "$work"/*.whl

# What never runs: scripts of dependencies, their tests, headers and stubs, and zstandard for other Pythons.
rm -rf "$folder/lib/bin" "$folder/lib/pandas/tests" "$folder/lib/pyarrow/tests" "$folder/lib/pyarrow/include"
rm -f "$folder"/lib/zstandard/_cffi* "$folder"/lib/zstandard/backend_cffi.py
find "$folder/lib" \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' \) -delete

cat >"$folder/bin/flopledger" <<'COMMAND'
#!/usr/bin/python3
from flopledger import main

main()
COMMAND
chmod 755 "$folder/bin/flopledger"

# The list is read from what was installed, by a Python that sees nothing else.
uv venv --python "$PYTHON" "$work/seen"
(cd "$folder/lib" && pwd) >"$(echo "$work"/seen/lib/python3*/site-packages)/image.pth"
"$PYTHON" -W ignore -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible --no-validate \
    -o "$folder/sbom.cdx.json" "$work/seen/bin/python"
