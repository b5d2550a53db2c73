"""What the package computes with: devices, and the linear algebra behind equation 5 and L-BFGS."""
