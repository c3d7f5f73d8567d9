"""The cases of the conformance kit and their guests, one module for each part of ABI.md."""
