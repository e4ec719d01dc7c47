"""InstructMining for Spark: score instruction data, learn which of it helps, select and prove."""

__version__ = "0.1.0"
