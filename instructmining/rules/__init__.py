"""The linear rule, its registry in MLflow and the gate of promotion. Not how it is fitted."""
