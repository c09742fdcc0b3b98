"""The protocol as a numbered table of cases, each run against the venue; read `cases_*.py` to learn it."""
