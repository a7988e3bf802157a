"""Where people paint: the engine that owns the device, and the server that people reach it through."""
