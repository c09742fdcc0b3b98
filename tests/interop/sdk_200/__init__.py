"""What a user of nado-protocol 2.0.0 does, as numbered checks.

Runs with the SDK's Python (``python -m tests.interop.sdk_200 READY_LINE``), so nothing but the SDK and the
standard library may be imported here.
"""
