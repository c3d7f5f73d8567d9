# ---- The engine's native helper --------------------------------------------------------------------------------------

NATIVE_FOLDER := runner/alga_runner/engine/native
NATIVE := $(NATIVE_FOLDER)/alga_engine.so.1

$(NATIVE): $(NATIVE_FOLDER)/alga_engine.c $(NATIVE_FOLDER)/build.py $(ZIG_VENV)/.ready
	@$(ZIG_VENV)/bin/python $(NATIVE_FOLDER)/build.py
