"""What all training shares: batch order, devices, the loop, checkpoints; and training by gradient descent on batches."""
