"""The one name of a NumPy array in annotations."""

import numpy as np

Array = np.ndarray
