"""How fast the package is, in ratios against honest yardsticks timed in the same run.

pytest-benchmark times, stores and compares; each `bench_*.py` holds one subject, `yardsticks`
what a user would write instead, `report` makes ratios and table of a run, and `plot` the plot::

    pytest benchmarks --benchmark-only --benchmark-json=benchmarks/latest.json
    python -m benchmarks.plot
"""
