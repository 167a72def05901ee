"""Compiled loops: elementary functions, the simulator, and erf's sums over pairs and particles.

Each kernel states the formula that it computes and has a plain counterpart that it is tested
against.  They run unchanged, if slowly, as plain Python.  Loaded on first use only.
"""
