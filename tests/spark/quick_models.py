"""Models of a line of Python each, for tests in which the numbers do not matter."""

# For a file that executors import; `reward` and `words` are of kind `python`.
FUNCTIONS = """
def reward(conversations):
    return [float(len(c[-1]["content"])) / 10 for c in conversations]

def words(conversations):
    return [len(c[-1]["content"].split()) or None for c in conversations]
"""
