"""SageMaker's control plane: what is stored, and what its operations answer."""
