"""The figures: which there are, which are stale, and how a notebook becomes one."""
