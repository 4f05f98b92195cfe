"""`python -m livemove.cli`: the same as `livemove`."""

from livemove.cli import main

main(prog_name="livemove")
