"""The Gymnasium environments; importing this registers them under ``rlgrid/``."""

if __name__ != "rlgrid.envs":
    raise ImportError("import rlgrid.envs: under its bare name this package would be a second copy of its classes")
