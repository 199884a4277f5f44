"""How the same step runs fast: device, precision, threads, graph capture."""
