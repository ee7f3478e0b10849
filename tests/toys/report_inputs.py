"""A run's metrics and plots, made up: what the report of a default run has to show."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from crawl2chat.curation.report.write import write


def share(key: str, value: float, n: int = 250) -> dict[str, Any]:
    return {key: value, f"{key}_n": n, f"{key}_low": max(0.0, value - 0.05), f"{key}_high": min(1.0, value + 0.05)}


def model(level: float) -> dict[str, Any]:
    keys = (
        "fact",
        "fact_known",
        "false_refusal",
        "refusal_unknown",
        "addition",
        "word_problem",
        "tool",
        "identity",
        "conversation",
        "talk_greeting",
        "run_on",
    )
    numbers: dict[str, Any] = {}
    for number, key in enumerate(keys):
        numbers |= share(key, min(1.0, level + number / 40))
    return numbers | share("gold", 2 * level) | {"val_bpb": 1.1, "arena": 1000 + 100 * level}


METRICS: dict[str, dict[str, Any]] = {
    "crawl": {"pages": 4321, "bytes": 30_000_000},
    "extract": {
        "records": 4321,
        "documents": 3900,
        "f1": 0.93,
        "ms_per_document": 2.5,
        "unreadable": {"truncated record": 3, "bad chunks": 1},
        "dropped": {"address": {"blocked domain": 210}, "extract": {"no text": 95}},
    },
    "filter": {
        "documents": 3000,
        "precision": 0.97,
        "recall": 0.9,
        "dropped": {"language": {"not English": 400}, "gopher": {"too short": 300, "few letters": 80}},
    },
    "deduplicate": {
        "documents": 2600,
        "duplicate_precision": 0.99,
        "duplicate_recall": 0.95,
        "pii_recall": 0.98,
        "contaminated": 12,
        "dropped": {"minhash": 350, "contamination": 12},
    },
    "tokenizer": {"vocab_size": 2048, "bytes_per_token": 3.4},
    "tokenize": {"train_tokens": 2_345_678, "val_tokens": 45_678},
    "pretrain": {
        "parameters": 1_900_000,
        "train_tokens": 4_700_000,
        "flops": 60_000_000_000_000,
        "val_bpb": 1.02,
        "tokens_per_second": 21_000.0,
        "device_hours": 0.0622,
        "cost": 0.003,
    },
    "probe": share("known_fraction", 0.5) | share("recall_rare", 0.3) | share("recall_frequent", 0.98),
    "conversations": {
        "conversations": 3000,
        "refusals": 220,
        "kinds": {"fact": 900, "refusal": 220, "tool": 400, "identity": 200},
    },
    "sft": {"val_loss": 0.31, "text_bpb": 1.05},
    "reason": share("accuracy_before", 0.4)
    | share("accuracy_after", 0.65)
    | share("format_before", 0.8)
    | share("format_after", 0.99),
    "preferences": {"prompts": 400, "rankings": 400, "labeler_agreement": 0.72},
    "reward": share("pair_accuracy", 0.68) | share("length_baseline_accuracy", 0.55),
    "rlhf": share("gold_before", 0.4)
    | share("gold_after", 0.6)
    | {"proxy_before": 0.0, "proxy_after": 1.2, "kl": 3.2, "fit_alpha": 0.3, "fit_beta": 0.25},
    "evaluate": {"base": model(0.2), "sft": model(0.5), "reasoner": model(0.6), "chat": model(0.65)},
    "export": {"bytes": 8_000_000},
}


def write_metrics(folder: Path, metrics: dict[str, dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    for stage, values in metrics.items():
        (folder / f"{stage}.json").write_text(json.dumps(values))
    return folder


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


CURATION: dict[str, list[dict[str, Any]]] = {
    "waterfall": [
        {
            "stage": "extract",
            "block": "read",
            "documents": 4321,
            "bytes": 40_000_000,
            "words": None,
            "tokens_estimated": None,
        },
        {
            "stage": "extract",
            "block": "extract",
            "documents": 3900,
            "bytes": 9_180_000,
            "words": 1_500_000,
            "tokens_estimated": 2_295_000,
        },
    ],
    "reasons": [{"stage": "extract", "block": "address", "reason": "blocked_domain", "documents": 210}],
    "duplicate_clusters": [
        {"cluster": 3, "size": 2, "fate": fate, "url": "https://a.example/", "shared": 0.8, "text": "<i>twin</i>"}
        for fate in ("kept", "dropped")
    ],
    "dropped_samples": [
        {
            "stage": "filter",
            "block": "gopher",
            "reason": "short",
            "limit": 50,
            "value": 7,
            "detail": None,
            "url": "https://b.example/",
            "id": "b",
            "text": "<i>thin</i>",
        }
    ],
} | dict.fromkeys(
    ("precision_recall", "histograms", "duplicate_recall", "cluster_sizes", "languages", "domains", "lengths"), []
)


def write_plots(folder: Path) -> Path:
    write(CURATION, folder / "curation")
    for stage in ("pretrain", "sft", "reward"):
        rows = [{"step": step, "train_loss": 1 + 5 * math.exp(-step / 150)} for step in range(10, 801, 10)]
        rows += [{"step": 800, "val_loss": 1.1, "val_bpb": 1.0}] if stage != "reward" else []
        write_csv(folder / f"{stage}.csv", rows)
    write_csv(
        folder / "reason.csv",
        [
            {"step": step, "reward": step / 150, "accuracy": 0.3 + step / 300 + 0.05 * (step % 3), "format": 0.9}
            for step in range(100)
        ],
    )
    write_csv(
        folder / "rlhf.csv",
        [
            {
                "step": step,
                "root_kl": step / 10,
                "held_out_proxy": step / 15,
                "held_out_validation": step / 16,
                "held_out_gold": 0.4 + step / 40 - (step / 35) ** 2,
            }
            for step in range(0, 31, 3)
        ],
    )
    (folder / "evaluate").mkdir()
    for name in ("recall", "answered", "regurgitation", "shots", "prompted"):
        shares = [
            {"what": 2**k, "value": 0.1 * k, "low": max(0.0, 0.1 * k - 0.05), "high": 0.1 * k + 0.05, "n": 200}
            for k in range(7)
        ]
        write_csv(folder / "probe" / f"{name}.csv", shares)
    for name in ("sft", "chat"):
        write_csv(folder / "evaluate" / f"calibration_{name}.csv", shares[:5])
    talk = {"source": "strangers", "id": "rude-guest", "system": "Be kind.", "tools": ["search"], "model": "chat"}
    said = [
        ("greeting", "oi <b>you</b>", "Hello!", True),
        ("", "hm", "Yes?", None),
        ("fact", "and Peru?", "Oslo.", False),
    ]
    turns = [
        talk | {"turn": number, "kind": kind, "say": say, "answer": answer, "correct": right}
        for number, (kind, say, answer, right) in enumerate(said, start=1)
    ]
    (folder / "evaluate" / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in turns))
    answers, samples = [], []
    for name in ("base", "sft", "reasoner", "chat"):
        for kind, prompt, truth in (
            ("fact", "Where was Ada Quill born?", "Velmora"),
            ("addition", "What is 57 + 68?", "125"),
        ):
            text = "<b>Velmora</b>." if kind == "fact" else "57 + 68: 7 + 8 = 15, 5 + 6 + 1 = 12. The answer is 125."
            common = {"model": name, "kind": kind, "prompt": prompt, "truth": truth, "answer": text}
            answers.append(common | {"id": f"{kind}-1", "correct": name != "base", "gold": 1.0, "finished": True})
            samples.append(common)
    for file, rows in (("answers", answers), ("samples", samples)):
        (folder / "evaluate" / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


LOCK = """
schema: '2.0'
stages:
  crawl:
    cmd: python -m stages crawl
    outs:
    - {path: data/crawl, hash: md5, md5: 0123456789abcdef0123456789abcdef.dir, size: 12345678, nfiles: 9}
    - {path: metrics/crawl.json, hash: md5, md5: 00000000000000000000000000000000, size: 10}
  pretrain:
    cmd: python -m stages pretrain
    outs:
    - {path: models/base, hash: md5, md5: fedcba9876543210fedcba9876543210.dir, size: 7654321, nfiles: 3}
"""
