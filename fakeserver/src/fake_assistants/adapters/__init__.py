"""The skins: each converts between the backend's exchange and one way of being reached, and does nothing else.

Only here are HTTP libraries, sockets, threads and the wall clock imported.
"""
