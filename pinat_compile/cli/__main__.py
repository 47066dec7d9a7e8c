"""``python -m pinat_compile.cli``."""

from pinat_compile.cli import main

main()
