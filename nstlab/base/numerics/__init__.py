"""Arguments, devices, modes of PyTorch, and the linear algebra of equation 5 and of L-BFGS."""
