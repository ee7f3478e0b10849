"""A person as the labeler: shows each prompt with its candidates and writes the order to a rankings file.

    python -m crawl2chat.alignment.rank prompts.jsonl my-rankings.jsonl --labeler anna

Type candidate numbers best first: `2 1=3` puts 2 above 1 and 3, which are tied; left-out candidates are not compared.
Enter skips, q ends; every answer is written at once, and a rerun goes on where it stopped. Candidates are listed in an
order that depends on prompt and labeler, so that their position says nothing.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

from crawl2chat.alignment.preferences import Order, check_ranking, read_prompts
from crawl2chat.errors import UserError
from crawl2chat.jsonl import read_jsonl


def parse(line: str, listed: list[int]) -> Order:
    """`2 1=3` → [[…], …] in candidate numbers. listed[i] is the candidate displayed as i + 1.

    Raises UserError for anything that is not a displayed number.
    """
    order: Order = []
    for place in line.replace(",", " ").replace(">", " ").split():
        tied = []
        for number in place.split("="):
            if not number.isdigit() or not 1 <= int(number) <= len(listed):
                raise UserError(f"{number!r} is not one of the numbers 1 to {len(listed)}.")
            tied.append(listed[int(number) - 1])
        order.append(tied[0] if len(tied) == 1 else tied)
    return order


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m crawl2chat.alignment.rank", description=__doc__.split("\n")[0])
    parser.add_argument("prompts", type=Path, help="prompts.jsonl: prompts with their candidates")
    parser.add_argument("rankings", type=Path, help="file to append the rankings to")
    parser.add_argument("--labeler", default="person", help="your name, kept with each ranking")
    options = parser.parse_args(arguments)
    try:
        rank(options.prompts, options.rankings, options.labeler)
    except UserError as error:
        parser.exit(1, f"{error}\n")


def rank(prompts_file: Path, rankings_file: Path, labeler: str) -> int:
    """Asks until all prompts are ranked or the person stops; returns how many rankings were written."""
    prompts = read_prompts(prompts_file)
    done = set()
    if rankings_file.is_file():
        done = {record["prompt_id"] for record in read_jsonl(rankings_file) if record["labeler"] == labeler}
    written = 0
    for name, prompt in prompts.items():
        if name in done:
            continue
        listed = list(range(len(prompt["candidates"])))
        random.Random(hashlib.sha256(f"{name} {labeler}".encode()).digest()).shuffle(listed)
        order = ask(prompt, listed, prompts)
        if order is None:
            break
        if order:
            with rankings_file.open("a", encoding="utf-8") as file:
                record = {"prompt_id": name, "order": order, "labeler": labeler}
                file.write(json.dumps(record, sort_keys=True) + "\n")
            written += 1
    print(f"{written} rankings added to {rankings_file}")
    return written


def ask(prompt: dict, listed: list[int], prompts: dict[str, dict]) -> Order | None:
    """The person's order, [] to skip, None to stop; asks again after a slip."""
    print("\n" + "\n".join(f"{message['role']}: {message['content']}" for message in prompt["messages"]))
    for number, candidate in enumerate(listed, 1):
        print(f"  [{number}] {prompt['candidates'][candidate]['text']}")
    while True:
        try:
            line = input("best first> ").strip()
        except EOFError:
            return None
        if line == "q":
            return None
        try:
            order = parse(line, listed)
            check_ranking({"prompt_id": prompt["id"], "order": order}, prompts, "your answer")
            return order
        except UserError as error:
            print(f"  {error}")


if __name__ == "__main__":
    main()
