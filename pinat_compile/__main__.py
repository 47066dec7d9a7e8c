"""``python -m pinat_compile``."""

from pinat_compile.cli import main

main()
