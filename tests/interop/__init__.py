"""The official SDK, unmodified, against `nadows serve`: `make interop`.

`tests.interop.sdk_200` is the SDK's side and runs with the SDK's Python; it imports nothing of ours.
"""
