"""What every room needs and none is about: checks, files, threads, progress, integrators."""
