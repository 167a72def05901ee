"""How fast the package is, in ratios against honest yardsticks timed in the same run.

`python -m benchmarks` measures every line, prints a table and writes it with a plot.  A module
holds one subject (`sgd`, `ode`, `mean_field`, `start`); a benchmark is a function from a `Size`
to a `Result`, listed in `catalogue`.  The yardsticks are in `yardsticks`.
"""
