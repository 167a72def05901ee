"""How fast the package is, in ratios against honest yardsticks timed in the same run.

pytest-benchmark times, stores and compares; each `bench_*.py` holds one subject, `yardsticks`
what a user would write instead, and `report` makes ratios, table and plot of a run::

    pytest benchmarks --benchmark-only --benchmark-json=benchmarks/latest.json
    python -m benchmarks.report
"""
