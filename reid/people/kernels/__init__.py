"""Compiled inner loops of the renderer: the only package that imports numba.

Each module raises `MissingExtraError` on import when numba is not there.
"""
