"""What every scorer needs to run: batches, devices, weights, the model kept in memory."""
