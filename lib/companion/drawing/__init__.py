"""How the figures look: colours, axes, marks, and whether a phone can show them."""
