"""The command line: parses, calls one function, prints. Heavy imports stand inside the commands."""

import click

import pinat_compile


@click.group()
@click.version_option(pinat_compile.__version__, prog_name="pinat-compile")
def main() -> None:
    """Compile trained networks onto analog crossbars and photonic arrays."""
