"""Print docs/settings.md from the settings themselves; `tests/test_docs.py` checks that the file is up to date."""

from __future__ import annotations

from cli.settings import PREFIX, Settings

HEAD = """# Settings

Every setting is an environment variable `FLOPLEDGER_…`, or the same name in lower case without the prefix in a TOML
file: the one that `FLOPLEDGER_CONFIG` names, else `flopledger.toml` in the data directory. The environment outranks the
file. Lists are written as JSON in the environment. A name that is no setting is an error.

| variable | default | what it is |
|---|---|---|
"""
DEFAULTS = {"data_dir": "`~/.local/share/flopledger`", "node": "the host's name"}


def settings_table() -> str:
    """The whole file."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True, validated_data={})
        default = DEFAULTS.get(name, "" if value is None else f"`{value}`")
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(settings_table(), end="")
