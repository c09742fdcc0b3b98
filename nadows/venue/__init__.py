"""The simulated venue: an exchange that clients written for Nado can talk to.

Everything but `server` is a machine without sockets, clock or global state: time and randomness come
in as arguments, so that the same venue runs behind real sockets, joined to a client in memory, and
in tests on a virtual clock. `exchange.Exchange` is the machine, `server.serve` the thin shell around it.
"""
