"""One finetune on a device and the answers of its model."""
