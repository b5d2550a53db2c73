"""What every page stands on: `files` that are read and written, and `numerics`, numbers and the machine they are on."""
