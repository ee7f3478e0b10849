"""Segments about letters: spelling and counting, by the tools that see letters where the model sees tokens."""

import re
from random import Random

from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk.phrasing import blocks
from crawl2chat.tinyweb.talk.topics import Segment, Topics, Turn, one

WORDS = tuple(
    dict.fromkeys(
        word
        for text in (skills.OPPOSITES, skills.CRAFTS, *blocks()["outside things"])
        for word in re.findall(r"(?<![\w{$])[a-z]{3,}(?![\w}])", text)
    )
)
MORE_WORDS = (
    "banana,strawberry,elephant,chocolate,mississippi,raspberry,window,computer,keyboard,mirror,umbrella,butter,kitchen,"
    "summer,winter,letter,pepper,coffee,yellow,balloon,cherry,carrot,rabbit,kangaroo,tomorrow,bubble,hammer,ladder,"
    "berry,mountain,science,birthday,sandwich,blueberry,cranberry,programming,committee,parallel,tomato,potato,garden,"
    "apple,orange,lemon,grape,melon,cookie,cake,bread,cheese,sugar,salt,water,juice,bottle,table,chair,house,street,"
    "school,teacher,student,pencil,paper,notebook,picture,camera,phone,music,guitar,piano,violin,trumpet,dance,theatre,"
    "movie,story,river,ocean,island,forest,desert,valley,bridge,castle,church,market,station,airport,hospital,library,"
    "doctor,nurse,farmer,baker,butcher,painter,soldier,sailor,captain,king,queen,prince,knight,dragon,monkey,tiger,lion,"
    "giraffe,zebra,horse,donkey,sheep,chicken,turkey,goose,pigeon,parrot,spider,butterfly,mosquito,dolphin,whale,shark,"
    "happy,sad,angry,tired,hungry,thirsty,beautiful,difficult,important,interesting,necessary,different,wonderful,"
    "monday,tuesday,wednesday,thursday,friday,saturday,sunday,january,february,august,september,october,november,"
    "morning,evening,midnight,yesterday,holiday,weather,thunder,lightning,rainbow,snowflake,umbrella,jacket,trousers,"
    "pocket,button,needle,thread,scissors,bicycle,airplane,helicopter,submarine,rocket,planet,universe,language,"
    "alphabet,grammar,dictionary,question,answer,problem,solution,number,zero,hundred,thousand,million,restaurant"
).split(",")


def spelling_word(topics: Topics, rng: Random) -> str:
    """A word; test has some that training never spells."""
    own = [x for number, x in enumerate(MORE_WORDS) if (number % 3 == 0) == (topics.split == "test")]
    if rng.random() < 0.3:
        return topics.new_name("town").lower()
    return rng.choice((*WORDS, *own * 4))


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
