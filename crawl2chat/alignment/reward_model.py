"""A language model that gives a number instead of a next token: how much a person would like this answer.

In: (prompt, answer) token ids. Out: one score per answer, read at its last real token, shifted and scaled so that the
reference policy's answers have mean 0 and standard deviation 1. On disk: Hugging Face's
`Qwen3ForSequenceClassification` layout, with the two numbers in config.json. Source: Stiennon et al. 2020.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from crawl2chat.alignment.rollouts import Batch, batches
from crawl2chat.errors import UserError
from crawl2chat.model.folder import TOKENIZER_FILES, load_config, load_weights, save_model
from crawl2chat.model.network import Transformer


class RewardModel(nn.Module):
    """A transformer with a scalar head, N(0, 1/√(d + 1)) at the start."""

    def __init__(self, language_model: Transformer, seed: int = 0) -> None:
        super().__init__()
        width = language_model.config.hidden_size
        self.language_model = language_model
        self.score = nn.Linear(width, 1, bias=False)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.score.weight, std=(width + 1) ** -0.5, generator=generator)
        self.mean, self.deviation = 0.0, 1.0

    def forward(self, batch: Batch) -> Tensor:
        """Scores (B,) before normalisation. A reward is read at the last answer token, never at padding."""
        hidden = self.language_model(batch.ids)
        last = batch.places.max(dim=1).values + 1
        return self.score(hidden[torch.arange(len(last), device=last.device), last]).squeeze(-1)

    @torch.no_grad()
    def rewards(self, sequences: Sequence[tuple[list[int], list[int]]], pad: int) -> Tensor:
        """Normalised scores (n,) of (prompt, answer) pairs. Raises UserError where a score is not a finite number."""
        found = torch.zeros(len(sequences))
        for batch in batches(sequences, pad, self.score.weight.device):
            found[batch.rows] = self(batch).cpu()
        if not found.isfinite().all():
            raise UserError(
                f"the reward model gives {float(found[~found.isfinite()][0])} to "
                f"{int((~found.isfinite()).sum())} of {len(found)} answers: train it again with a lower learning rate."
            )
        return (found - self.mean) / self.deviation

    def normalise(self, scores: Tensor) -> None:
        """Takes raw reference scores as the new zero and unit."""
        self.mean, self.deviation = float(scores.mean()), max(float(scores.std()), 1e-6)


def save_reward_model(model: RewardModel, folder: Path, tokenizer_folder: Path, pad: int) -> None:
    """Writes the folder; Hugging Face finds the last real token by pad_token_id."""
    save_model(model.language_model, folder, tokenizer_folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    kind = config["architectures"][0].removesuffix("ForCausalLM")
    config |= {
        "architectures": [f"{kind}ForSequenceClassification"],
        "id2label": {"0": "reward"},
        "label2id": {"reward": 0},
        "pad_token_id": pad,
        "reward_mean": model.mean,
        "reward_std": model.deviation,
    }
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = {key: value.detach().float().cpu() for key, value in model.language_model.state_dict().items()}
    weights.pop("lm_head.weight", None)
    save_file(
        weights | {"score.weight": model.score.weight.detach().float().cpu()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def load_reward_model(folder: Path) -> RewardModel:
    """The reward model of a folder. Raises UserError where it is not one."""
    weights = load_weights(folder)
    if "score.weight" not in weights:
        raise UserError(f"{folder} holds no score.weight: it is not a reward model; run the reward stage.")
    model = RewardModel(Transformer(load_config(folder)))
    score = weights.pop("score.weight")
    model.language_model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    model.score.load_state_dict({"weight": score.float()})
    config = json.loads((folder / "config.json").read_text())
    model.mean, model.deviation = config.get("reward_mean", 0.0), config.get("reward_std", 1.0)
    return model.eval()


def same_tokenizer(policy: Path, reward: Path) -> None:
    """Raises UserError unless both folders hold the same tokenizer: ids would mean different texts."""
    name = TOKENIZER_FILES[0]
    if (policy / name).read_bytes() != (reward / name).read_bytes():
        raise UserError(
            f"{policy} and {reward} have different tokenizers: train the reward model from this policy's family."
        )
