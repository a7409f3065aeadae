"""`python -m fake_assistants.conformance`."""

from fake_assistants.conformance.command import main

main()
