"""The models that an instance may use, and their learned scores."""
