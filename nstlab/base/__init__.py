"""What every page stands on: files, numerics (arguments, devices, linear algebra), the progress bar, and records."""
