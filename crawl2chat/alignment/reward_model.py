"""A language model that gives a number instead of a next token: how much a person would like this answer.

In: (prompt, answer) token ids. Out: one score per answer, read at its last real token, shifted and scaled so that the
reference policy's answers have mean 0 and standard deviation 1. On disk: Hugging Face's
`Qwen3ForSequenceClassification` layout, with the two numbers in config.json. Source: Stiennon et al. 2020.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from crawl2chat.alignment.rollouts import Text, batches
from crawl2chat.errors import UserError
from crawl2chat.model.folder import TOKENIZER_FILES, load_config, load_weights, save_model
from crawl2chat.model.network import Transformer
from crawl2chat.training.ranks import share_out


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

    def forward(self, ids: Tensor, last: Tensor) -> Tensor:
        """Scores (B,) before normalisation, of ids (B, T) whose last real tokens stand at last (B,)."""
        hidden = self.language_model(ids)
        return self.score(hidden[torch.arange(len(last), device=last.device), last]).squeeze(-1).float()

    @torch.no_grad()
    def raw_scores(self, sequences: Sequence[tuple[list[int], list[int]]], pad: int) -> Tensor:
        """Scores (n,) before normalisation, of (prompt, answer) pairs, which several processes share. UserError where
        one is not a finite number."""
        found = torch.tensor(share_out(sequences, lambda part: self.scores_here(part, pad).tolist()))
        wrong = found[~found.isfinite()]
        if len(wrong):
            raise UserError(
                f"the reward model scores {len(wrong)} of {len(found)} answers with {float(wrong[0])}, which is not a "
                "number to learn from: train it again with a lower adamw_lr."
            )
        return found

    def scores_here(self, sequences: Sequence[tuple[list[int], list[int]]], pad: int) -> Tensor:
        texts = [Text(prompt, answer, [True] * len(answer)) for prompt, answer in sequences]
        scores = torch.zeros(len(texts))
        for batch in batches(texts, pad, self.score.weight.device):
            scores[batch.rows] = self(batch.ids, batch.places.max(dim=1).values + 1).cpu()
        return scores

    def rewards(self, sequences: Sequence[tuple[list[int], list[int]]], pad: int) -> Tensor:
        """Normalised scores (n,)."""
        return (self.raw_scores(sequences, pad) - self.mean) / self.deviation

    def normalise(self, scores: Tensor) -> None:
        """Takes raw scores of reference answers as the new zero and unit."""
        self.mean, self.deviation = float(scores.mean()), max(float(scores.std()), 1e-6)


def save_reward_model(
    model: RewardModel, folder: Path, tokenizer_folder: Path, pad: int, prompt_ids: Sequence[str] = ()
) -> None:
    """Writes the folder; Hugging Face finds the last real token by pad_token_id. A hash of the prompts whose rankings
    were learnt from stands in config.json."""
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
    if prompt_ids:
        config["rankings"] = hashlib.sha256("\n".join(sorted(prompt_ids)).encode()).hexdigest()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = load_weights(folder)
    weights.pop("lm_head.weight", None)
    weights["score.weight"] = model.score.weight.detach().float().cpu().contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def apart(proxy: Path, validation: Path) -> None:
    """Raises UserError where the reward model that decides when to stop knows no more than the one that is optimised:
    the same weights, or the same rankings to learn from."""
    first, second = (json.loads((folder / "config.json").read_text()).get("rankings") for folder in (proxy, validation))
    same_weights = (proxy / "model.safetensors").read_bytes() == (validation / "model.safetensors").read_bytes()
    if same_weights or (first is not None and first == second):
        raise UserError(
            f"{validation} learnt from the same rankings as {proxy} and would never say stop: train it on rankings of "
            "other prompts."
        )


def load_reward_model(folder: Path, device: str | torch.device = "cpu") -> RewardModel:
    """The reward model of a folder. Raises UserError where it is none."""
    weights = load_weights(folder)
    if "score.weight" not in weights:
        raise UserError(f"{folder} holds no score.weight: it is not a reward model.")
    config = json.loads((folder / "config.json").read_text())
    model = RewardModel(Transformer(load_config(folder)))
    model.score.load_state_dict({"weight": weights.pop("score.weight").float()})
    model.language_model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    model.mean, model.deviation = config.get("reward_mean", 0.0), config.get("reward_std", 1.0)
    return model.to(device).eval()


def same_tokenizer(policy: Path, reward: Path) -> None:
    """Raises UserError unless both folders hold the same tokenizer: otherwise ids would mean different texts."""
    name = TOKENIZER_FILES[0]
    for folder in (policy, reward):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} does not exist: {folder} is not a model folder of this pipeline.")
    if (policy / name).read_bytes() != (reward / name).read_bytes():
        raise UserError(f"{policy} and {reward} have different tokenizers: train the reward model from this policy.")
