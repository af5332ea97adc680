"""Makes `models/<name>/` out of a TF-Hub handle, a SavedModel folder or packaged weights."""
