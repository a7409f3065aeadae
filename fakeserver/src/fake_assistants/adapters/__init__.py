"""Adapters between HTTP libraries and the fake: each converts requests and replies, and does nothing else.

Only these modules import HTTP libraries, sockets, threads and the wall clock.
"""
