"""Rewards, advantages, losses, rollouts and preferences: what turns an assistant into a better one by trial."""
