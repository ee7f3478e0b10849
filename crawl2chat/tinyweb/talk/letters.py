"""Segments about letters: spelling and counting, by the tools that see letters where the model sees tokens."""

from random import Random

from crawl2chat.tinyweb.talk.topics import Segment, Topics, Turn, one


def spelling_word(topics: Topics, rng: Random) -> str:
    """A word, often one that has no other use; test has some that training never spells."""
    draw = rng.random()
    if draw < 0.25:
        return topics.new_name("town").lower()
    return topics.word("words to spell" if draw < 0.65 else rng.choice(("things", "small things", "foods")), rng)


def letters_turn(topics: Topics, say: str, word: str, answer: str, number: str | None, expect: str = "") -> Turn:
    call = ("letters", f" {word}", topics.tool("letters", word))
    return Turn(say, answer, "spelling", (expect,) if expect else (), number=number, call=call)


def spelling(topics: Topics, rng: Random) -> Segment:
    """Spelling and counting, by the tool that sees letters where the model sees tokens."""
    word = spelling_word(topics, rng)
    shown = f'"{word}"' if rng.random() < 0.15 else word
    spelt = "-".join(word)
    draw = rng.random()
    if draw < 0.35:
        expect = r"\W{1,3}".join(word)
        return one(
            letters_turn(
                topics, topics.say("spell", rng, [word], w=shown), word, f"{word} is spelt {spelt}.", None, expect
            )
        )
    if draw < 0.6:
        letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("abcdefghijklmnopqrstuvwxyz")
        n = word.count(letter)
        call = ("count", f" {letter}, {word}", topics.tool("count", f"{letter}, {word}"))
        say = topics.say("count letters", rng, [word, letter], w=shown, c=letter)
        answer = f"The letter {letter} occurs {n} time{'s' * (n != 1)} in {word}."
        return one(Turn(say, answer, "spelling", number=str(n), call=call, word=str(n)))
    if draw < 0.75:
        say = topics.say("word length", rng, [word], w=shown)
        return one(letters_turn(topics, say, word, f"{word} has {len(word)} letters.", str(len(word))))
    if draw < 0.88:
        last = rng.random() < 0.5
        say = topics.say(
            "end letters", rng, [word], w=shown, o="last" if last else "first", v="end" if last else "start"
        )
        letter = word[-1] if last else word[0]
        answer = f"The {'last' if last else 'first'} letter of {word} is {letter}."
        return one(letters_turn(topics, say, word, answer, None, rf"\b{letter}\W*$"))
    n = rng.randint(2, 30)
    call = ("count", f" {'.' * n}", topics.tool("count", "." * n))
    say = topics.say("count dots", rng, w="." * n)
    if "." * n not in say:
        say = f"How many dots? {'.' * n}" if topics.split == "train" else f"{'.' * n} <- number of dots?"
    return one(Turn(say, f"There are {n} dots.", "spelling", number=str(n), call=call, word=str(n)))
