"""Where the vectors come from: a module for each file."""
