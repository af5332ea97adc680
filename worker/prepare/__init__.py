"""Creates `models/<name>/` from a TF-Hub handle, a SavedModel folder or packaged weights."""
