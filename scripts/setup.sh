#!/bin/sh
# Makes the virtual environment from the lock file, hashes checked, and installs this checkout into it.
# Needs Python 3.11 or newer. Where Debian split venv off into its own package, root gets it by apt.
set -eu

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "flopledger needs Python 3.11 or newer; $PYTHON is $("$PYTHON" -V 2>&1). Try: make PYTHON=python3.12" >&2
    exit 2
}

make_venv() { "$PYTHON" -m venv --clear "$VENV" >/dev/null 2>&1; }

if ! make_venv; then
    package="$("$PYTHON" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "$PYTHON cannot make a virtual environment. Run: sudo apt-get install $package" >&2
        exit 2
    fi
    echo "Installing $package ..."
    apt-get update -qq && apt-get install -y -qq "$package" >/dev/null
    make_venv
fi

echo "Installing dependencies into $VENV (about 900 MB on disk, once) ..."
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
"$VENV/bin/uv" pip sync --quiet --python "$VENV/bin/python" --require-hashes requirements/bootstrap.lock "$LOCK"
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation --editable .
