"""What pretraining, fine-tuning and reward modelling share: batch order, the Lightning module, checkpoints, callbacks."""
