"""`python -m modeling_axk1` is the command `axk1`."""

from modeling_axk1.cli import main

main()
