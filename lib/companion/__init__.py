"""The machinery of the book: it makes the figures and the pages, and is used from a clone."""
