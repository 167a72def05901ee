"""What the notebooks of the figures share: importing it sets one up.

Pictures are SVG in the style of `plotting`; `executor` runs what is independent on all cores.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown
from matplotlib_inline.backend_inline import set_matplotlib_formats

from companion.claims.measurement import Measurement, exponent, mean_and_error, with_error
from companion.claims.printed import (
    compare,
    comparison_markdown,
    largest_differences,
    nearer_to_sgd,
    printed_values,
    risk_with_index_slip,
)
from companion.claims.tables import table
from companion.drawing import colours, plotting
from companion.figures import publishing
from twolayer import CostWarning

__all__ = [
    "Markdown",
    "Measurement",
    "colours",
    "compare",
    "comparison_markdown",
    "executor",
    "exponent",
    "largest_differences",
    "mean_and_error",
    "nearer_to_sgd",
    "pd",
    "plotting",
    "plt",
    "printed_values",
    "publishing",
    "risk_with_index_slip",
    "table",
    "with_error",
]

warnings.filterwarnings("ignore", category=CostWarning)  # what a page says hangs on no machine
set_matplotlib_formats("svg", bbox_inches=None, metadata={"Date": None})
plt.rcParams.update(plotting.STYLE)
executor = ThreadPoolExecutor(os.cpu_count())
