"""`python -m isotune.cli`, where the script `isotune` is not on the path."""

from isotune.cli import main

main()
