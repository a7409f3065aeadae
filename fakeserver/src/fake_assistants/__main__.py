"""`python -m fake_assistants`."""

from fake_assistants.cli import main

main()
