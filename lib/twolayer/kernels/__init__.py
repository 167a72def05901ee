"""Compiled loops: elementary functions, the simulator, and sums over pairs of units and particles.

Each kernel states the formula that it computes and has a plain counterpart that it is tested
against.  They run unchanged, if slowly, as plain Python.  Loaded on first use only.
"""
