"""The models an instance may use, and the learned scores laid over them."""
