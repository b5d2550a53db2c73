"""What every page stands on: `files`, `numerics` (arguments, devices, linear algebra), and the progress bar."""
