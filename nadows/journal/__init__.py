"""Journals: what a client must not lose when it crashes.

A journal is a file to which one client appends: its fills before it delivers them, its orders before it sends
them, and how far the archive has confirmed that nothing is missing. A client that is given the journal of one
that crashed takes up where that one stopped.

===========  ===========================================================
`records`    the lines: header, records, checksums, compacting
`journal`    `Journal`: numbers, what is confirmed, when to sync
`scribe`     `Scribe`: what is written when, between desk and listeners
`file`       the file: `JournalFile`, the lock, and errors of the disk
===========  ===========================================================
"""
