"""What the paper claims and prints, beside what was measured."""
