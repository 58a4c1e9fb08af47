"""The agents: what learns and what plans."""

if __name__ != "rlgrid.agents":
    raise ImportError("import rlgrid.agents: under its bare name this package would be a second copy of its classes")
