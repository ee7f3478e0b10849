"""Export: the final model as a Hugging Face folder that transformers and vLLM open without custom code, with its chat
template, its generation settings and a model card that holds the evaluation's numbers; and as one GGUF file for
llama.cpp."""

import json
import shutil
from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.evaluation.table import evaluation_table, markdown_table
from crawl2chat.parameters import Params


class ExportParams(Params):
    """What the folder says about itself."""

    name: str
    # The corpus decides: name the licence your data allows.
    license: str
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    max_new_tokens: int = Field(128, ge=1)
    # Also write model.gguf, in float32.
    gguf: bool
    # Also hand over the search index, which holds the text of the corpus.
    search: bool


def export(chat: Path, index: Path, evaluation: Path, out: Path, params: ExportParams) -> dict[str, Any]:
    """Writes the folder; returns its size."""
    from crawl2chat.chat.conversation import CHAT_TEMPLATE
    from crawl2chat.export.gguf import save_gguf
    from crawl2chat.model.config import parameter_count
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.tokens.tokenizer import Tokenizer, transformers_config

    model, tokenizer = load_model(chat), Tokenizer.load(chat)
    save_model(model, out, chat)
    context = model.config.max_position_embeddings
    config = json.loads((out / "config.json").read_text())
    ids = {"bos_token_id": tokenizer.bos, "eos_token_id": tokenizer.end, "pad_token_id": tokenizer.pad}
    write_json(out / "config.json", config | ids)
    # The chat template renders what training rendered.
    write_json(out / "tokenizer_config.json", transformers_config(context) | {"chat_template": CHAT_TEMPLATE})
    write_json(out / "generation_config.json", generation_config(params) | ids)
    if params.gguf:
        save_gguf(model, out / "model.gguf", chat, params.name, CHAT_TEMPLATE)
    if params.search:
        shutil.copyfile(index, out / index.name)
    numbers = json.loads(evaluation.read_text())
    (out / "README.md").write_text(model_card(params, parameter_count(model.config), context, numbers))
    size = sum(file.stat().st_size for file in out.iterdir())
    return {"parameters": parameter_count(model.config), "files": len(list(out.iterdir())), "bytes": size}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def generation_config(params: ExportParams) -> dict[str, Any]:
    """How a loader samples unless it is called with other settings."""
    sampled = {"do_sample": True, "temperature": params.temperature, "top_p": params.top_p}
    return {"max_new_tokens": params.max_new_tokens, **(sampled if params.temperature else {"do_sample": False})}


def model_card(params: ExportParams, parameters: int, context: int, numbers: dict[str, Any]) -> str:
    """README.md: what it is, how it was judged, how to load it, and what to mind."""
    gguf_use = "`model.gguf` is the same model for llama.cpp: `llama-cli -m model.gguf -cnv --jinja`.\n\n"
    search_use = " `search.sqlite` answers `search(…)`: SQLite's FTS5 over the corpus, whose text it holds."
    return f"""---
license: {params.license}
pipeline_tag: text-generation
library_name: transformers
---

# {params.name}

A chat model of {parameters:,} parameters with a context of {context:,} tokens, pretrained from a web crawl and \
then tuned
by supervised conversations, verifiable rewards and preferences.

## Evaluation

{markdown_table(evaluation_table(numbers))}

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{params.name}")
model = AutoModelForCausalLM.from_pretrained("{params.name}")
messages = [{{"role": "user", "content": "What is the capital of France?"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**inputs)[0]))
```

{gguf_use if params.gguf else ""}A tool call ends the turn as `<|tool_call|> 12*34<|end|>`: \
answer with a message of role `tool`, and the model goes on.{search_use if params.search else ""}

## To mind

- Text that users supply can spell a special token such as `<|end|>`, and tokenizers of this format turn it into \
the real
  one. Strip `<|…|>` from untrusted text, or encode it with `split_special_tokens=True`, before it reaches the template.
- The model knows what its corpus said, errors included. It is a demonstration, not a source of facts.
"""
