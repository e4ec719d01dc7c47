"""Finding what holds the text of an example. The job that erases is `jobs.stored.erase`."""
