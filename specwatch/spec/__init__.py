"""What a user may write in spec.yaml: its types, and the loader that knows the place of every value."""
