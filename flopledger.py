"""The front door: one command line; each part's commands are loaded only when used."""


def main() -> None:
    """Run the command line."""
