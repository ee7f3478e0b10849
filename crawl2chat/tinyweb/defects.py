"""Everything that is wrong with a crawl: one generator a defect, each page labelled with what should become of it.

In: good pages and a random generator. Out: `Draft`s — pages with text, URL words, labels, intensity and the expected
decision (`keep` or `drop`, and in which stage) — from which `site.py` makes HTML, WARC records and the truth manifest.
Each defect comes in several intensities, and the mildest pages are to stay: one foreign sentence makes no foreign page.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from crawl2chat.parameters import Params
from crawl2chat.tasks import Task


class DefectParams(Params):
    """How many defective pages there are for each good page, by kind; the last four change good pages instead."""

    blocked: float  # blocked domains, banned words in the URL
    language: float
    thin: float
    repetitive: float
    lists: float  # tag clouds, directories, keyword spam
    marked: float  # lorem ipsum, javascript notices, curly brackets
    garbled: float
    mirror: float
    near_duplicate: float
    server: float  # redirects, errors, other media types, revisits, empty bodies
    personal: float
    contaminated: float
    mild: float  # a foreign sentence, a refrain, a short list, one bad line: no reason to drop a page
    lookalike: float  # numbers that resemble personal data


@dataclass
class Draft:
    """A page before it is served, with its truth."""

    title: str
    paragraphs: list[str]
    kind: str
    facts: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    intensity: float | None = None  # share of the page, or number of items, that is defective
    cluster: int | None = None  # pages of one cluster are copies of each other
    similarity: float | None = None  # 5-gram Jaccard similarity with the original of the cluster
    expected: str = "keep"
    stage: str | None = None  # where it should be dropped
    host: str | None = None  # a host the page must be on
    path: str | None = None
    language: str = "en"
    personal: list[dict[str, str]] = field(default_factory=list)
    contaminants: list[str] = field(default_factory=list)  # ids of evaluation tasks on the page
    lookalikes: list[dict[str, str]] = field(default_factory=list)  # what resembles personal data and is none
    served: dict[str, Any] = field(default_factory=dict)  # layout, markup, charsets and transfer of the answer
    answer: str = "html"  # html, redirect, missing, error, media, revisit, empty

    @property
    def text(self) -> str:
        return "\n".join([self.title, *self.paragraphs])


SUBJECTS = (
    "The old mill|A quiet harbour|The night train|Our street|The spring market|A wooden bridge|The town council|"
    "An early frost|The reading room|A lost umbrella|The brass band|The ferry office|A basket of pears|"
    "The long winter|The school garden|A borrowed ladder|The village clock|The post boat"
).split("|")
VERBS = (
    "was closed for a week because of|had little to do with|reminded everybody of|changed its plans after|"
    "was painted green to honour|kept the neighbours awake with|was older than|stood right behind|became famous for|"
    "was moved to make room for|lost its roof during|owed a great deal to"
).split("|")
OBJECTS = (
    "the heavy rain that fell on Tuesday|a letter that nobody had signed|the smell of fresh bread|"
    "a rumour about the railway|the new lamps along the quay|an argument over the fence|"
    "the visit of a travelling circus|a crate of green apples|the sound of the bells|the work on the main road|"
    "a story told by the boatman|the colour of the shutters|the first warm evening|a drawer full of old maps"
).split("|")

# Of each language: subjects, verbs, objects.
_OTHER_LANGUAGES = """
de; Der alte Bahnhof|Unsere kleine Stadt|Das Rathaus am Markt|Die Bäckerei nebenan|Ein stiller Garten;
wurde im vergangenen Jahr wegen|liegt nicht weit von|erinnert viele Leute noch an|verdankt seinen Namen;
dem Hochwasser im Frühling geschlossen|der Brücke über den Fluss|einem Streit zwischen zwei Nachbarn|
der schönen Aussicht
fr; La vieille gare|Notre petite ville|Le marché du samedi|La boulangerie du coin|Un jardin tranquille;
se trouve tout près de|doit beaucoup à|a été fermé pendant un mois à cause de|rappelle aux habitants;
la rivière qui traverse la vallée|les pluies de l'automne dernier|une querelle entre deux voisins|
l'été de leur enfance
es; La estación vieja|Nuestro pequeño pueblo|El mercado de los sábados|La panadería de la esquina|Un jardín tranquilo;
está muy cerca de|debe mucho a|estuvo cerrado un mes por culpa de|recuerda a los vecinos; el río que cruza el valle|
las lluvias del otoño pasado|una pelea entre dos hermanos|los veranos de su infancia
it; La vecchia stazione|Il nostro piccolo paese|Il mercato del sabato|Il forno all'angolo|Un giardino tranquillo;
si trova molto vicino a|deve molto a|è rimasto chiuso per un mese a causa di|ricorda agli abitanti;
quel fiume che attraversa la valle|le piogge dello scorso autunno|una lite tra due vicini|
le estati della loro infanzia
pl; Stary dworzec|Nasze małe miasto|Sobotni targ|Piekarnia na rogu|Cichy ogród; leży bardzo blisko|wiele zawdzięcza|
był zamknięty przez miesiąc z powodu|przypomina mieszkańcom; rzeki, która płynie przez dolinę|jesiennych deszczów|
kłótni dwóch sąsiadów|letnich dni z dzieciństwa
sv; Den gamla stationen|Vår lilla stad|Torget på lördagar|Bageriet på hörnet|En stilla trädgård;
ligger inte långt från|har mycket att tacka|var stängd en månad på grund av|påminner invånarna om;
ån som rinner genom dalen|höstens kraftiga regn|ett gräl mellan två grannar|barndomens långa somrar
ru; Старый вокзал|Наш маленький город|Субботний рынок|Пекарня на углу|Тихий сад; находится совсем рядом с|
многим обязан|был закрыт целый месяц из-за|напоминает жителям про; реку, которая течёт через долину|осенние дожди|
ссору двух соседей|долгое лето их детства
el; Ο παλιός σταθμός|Η μικρή μας πόλη|Η αγορά του Σαββάτου|Ο φούρνος στη γωνία|Ένας ήσυχος κήπος;
βρίσκεται πολύ κοντά σε|οφείλει πολλά σε|έμεινε κλειστός έναν μήνα εξαιτίας|θυμίζει στους κατοίκους;
το ποτάμι που περνά την κοιλάδα|τις βροχές του φθινοπώρου|έναν καβγά ανάμεσα σε γείτονες|τα καλοκαίρια τους
"""
OTHER_LANGUAGES = {
    code: tuple(tuple(part.replace("|\n", "|").strip().split("|")) for part in parts)
    for code, *parts in (row.split(";") for row in re.split(r"\n(?=\w\w;)", _OTHER_LANGUAGES.strip()))
}


def sentence(rng: Random) -> str:
    """One harmless English sentence that tells nothing about the world."""
    return f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}."


def paragraph(rng: Random, sentences: int) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))


def blocked(rng: Random, domains: list[str]) -> Draft:
    """A clean text at an address that a blocklist or a word list names: the URL filter alone can tell.

    Intensity: banned words in the address; doubtful ones count from two on. Blocked hosts come with and without `www.`.
    """
    draft = Draft(
        sentence(rng)[:-1], [paragraph(rng, 5) for _ in range(4)], "blocked", expected="drop", stage="extract"
    )
    if rng.random() < 0.5:
        host = rng.choice(("", "www.", "m.")) + rng.choice(domains)
        return replace(draft, defects=["blocked_domain"], host=host, intensity=1)
    words = rng.choice(("buy-viagra-online", "erotic-webcam", "hardcore-webcam-show", "sexy-erotic-webcam-viagra"))
    count = sum(word in ("viagra", "erotic", "webcam", "hardcore", "sexy") for word in words.split("-"))
    return replace(draft, defects=["blocked_word"], path=f"/{words}-{rng.randint(1, 999)}.html", intensity=count)


def foreign(rng: Random, code: str) -> str:
    """One sentence of another language."""
    return " ".join(rng.choice(part) for part in OTHER_LANGUAGES[code]) + "."


def other_language(rng: Random, code: str) -> Draft:
    """A page of which 60 to 100 % (the intensity) is another language, between English sentences."""
    share = rng.choice((0.6, 0.8, 1.0, 1.0))
    sentences = [foreign(rng, code) for _ in range(rng.randint(14, 28))]
    length, wanted = sum(map(len, sentences)), (1 / share - 1) * sum(map(len, sentences))
    while sum(map(len, sentences)) - length < wanted:
        sentences.insert(rng.randint(1, len(sentences)), sentence(rng))
    return Draft(
        rng.choice(OTHER_LANGUAGES[code][0]),
        [" ".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5)],
        "language",
        defects=[f"language_{code}"],
        intensity=share,
        expected="drop",
        stage="filter",
        language=code,
    )


def thin(rng: Random) -> Draft:
    """A page of one to three sentences, the intensity; one of eight is short but a page."""
    count = rng.choice((1, 1, 2, 2, 3, 8))
    return Draft(
        rng.choice(SUBJECTS),
        [sentence(rng) for _ in range(count)],
        "thin",
        defects=["thin"],
        intensity=count,
        expected="drop" if count < 8 else "keep",
        stage="filter",
    )


def repetitive(rng: Random) -> Draft:
    """Some sentences, then the same one, line or paragraph again and again. Intensity: the repeated share."""
    share = rng.choice((0.5, 0.7, 0.9))
    fresh = [paragraph(rng, 3) for _ in range(4)]
    unit = rng.choice((sentence(rng), paragraph(rng, 3)))
    repeats = max(3, round(share / (1 - share) * sum(map(len, fresh)) / len(unit)))
    lines, block = [unit] * repeats, [" ".join([unit] * repeats)]
    body = [*fresh, *rng.choice((lines, block))]
    return Draft(
        sentence(rng)[:-1], body, "repetitive", defects=["repetitive"], intensity=share, expected="drop", stage="filter"
    )


_WORDS = sorted({w for text in (*SUBJECTS, *OBJECTS) for w in text.lower().split()})


def list_line(rng: Random, style: str) -> str:
    """A line of a directory, of bullets cut short, or of keywords for search engines."""
    if style == "directory":
        return f"{rng.choice(SUBJECTS)} {rng.randint(1, 400)}"
    if style == "bullets":
        return f"- {' '.join(rng.sample(_WORDS, 4))} ..."
    return ", ".join(rng.choices(("cheap", "best", "buy", "online", "discount", "free", "deal"), k=14))


def short_lines(rng: Random) -> Draft:
    """Directories, tag clouds, keyword spam: many lines, hardly a sentence. Intensity is their share of the lines."""
    style, share = rng.choice(("directory", "bullets", "keywords")), rng.choice((0.9, 0.95, 1.0))
    body = [list_line(rng, style) for _ in range(25 if style == "keywords" else rng.randint(40, 80))]
    for _ in range(round((1 - share) * len(body))):
        body.insert(rng.randrange(len(body)), sentence(rng))
    return Draft("Index", body, "lists", defects=[f"list_{style}"], intensity=share, expected="drop", stage="filter")


LOREM = "Lorem ipsum dolor sit amet, the consectetur adipiscing elit, sed do eiusmod tempor of incididunt."


CODE = "function total(list) {{ return list.reduce((a, b) => a + b, {n}); }}"


def javascript_line(rng: Random) -> str:
    plain = sentence(rng)
    return f"You need to enable Javascript in your browser to see how {plain[0].lower()}{plain[1:]}"


def marked(rng: Random) -> Draft:
    """Pages that C4's rules know by a mark: placeholder text, javascript notices, program code with curly brackets.

    Intensity: how many such lines; of notices C4 removes the line, so that a page goes only when hardly more is left.
    """
    style, body = (rng.choice(("lorem_ipsum", "javascript", "curly_bracket")), [paragraph(rng, 4) for _ in range(4)])
    count = rng.choice((6, 9, 15)) if style == "javascript" else rng.choice((1, 2, 5))
    if style == "javascript":
        body = [javascript_line(rng) for _ in range(count)]
    else:
        for number in range(count):
            line = LOREM if style == "lorem_ipsum" else CODE.format(n=number)
            body.insert(rng.randrange(1, len(body) + 1), line)
    title = sentence(rng)[:-1]
    return Draft(title, body, "marked", defects=[style], intensity=count, expected="drop", stage="filter")


ALPHABETS = {"symbols": "#*~^|<>@%&=+/\\0123456789", "letters": "bcdfghjklmnpqrstvwxzÃ©â€", "digits": "0123456789.,;:-"}


def noise(rng: Random, style: str, words: int) -> str:
    """Words of characters drawn at random."""
    drawn = ("".join(rng.choices(ALPHABETS[style], k=rng.randint(2, 14))) for _ in range(words))
    return " ".join(drawn) + "."


def garbled(rng: Random, number: int) -> Draft:
    """Output of a broken converter: symbols, or characters drawn at random. Intensity: its share of the page.

    Half a page of sums looks much the same, so that half a page of noise may go or stay.
    """
    style, share = (rng.choice(sorted(ALPHABETS)), (1.0, 0.97, 1.0, 0.98, 1.0, 0.97, 1.0, 0.98, 0.5)[number % 9])
    body = [noise(rng, style, 40) for _ in range(6)]
    length = sum(map(len, body))
    while sum(map(len, body)) < length / share:
        body.insert(rng.randrange(len(body) + 1), sentence(rng))
    return Draft(
        sentence(rng)[:-1],
        body,
        "garbled",
        defects=[f"garbled_{style}"],
        intensity=share,
        expected="drop" if share > 0.5 else "either",
        stage="filter",
    )


def mild(rng: Random, original: Draft, number: int) -> Draft:
    """A good page with a little of a defect; it must stay. Intensity: the share of text or number of lines added."""
    paragraphs = list(original.paragraphs)
    place, size = rng.randint(1, len(paragraphs)), len(original.text)
    most = 3 if len(paragraphs) > 8 else 2
    label = ("language", "repetitive", "list", "javascript", "garbled", "blocked_word")[number % 6]
    if label == "language":
        code = rng.choice(sorted(OTHER_LANGUAGES))
        label, added = f"language_{code}", [" ".join(foreign(rng, code) for _ in range(rng.choice((1, 2))))]
    elif label == "repetitive":
        added = [sentence(rng)] * rng.randint(2, most)
    elif label == "list":
        style = rng.choice(("directory", "bullets", "keywords"))
        label, added = f"list_{style}", [list_line(rng, style) for _ in range(rng.randint(1, most))]
    elif label == "javascript":
        added = [javascript_line(rng)]
    elif label == "garbled":
        style = rng.choice(sorted(ALPHABETS))
        label, added = f"garbled_{style}", [noise(rng, style, rng.choice((2, 5)))]
    else:
        added = []
    share = sum(map(len, added)) / (size + sum(map(len, added)))
    return replace(
        original,
        paragraphs=[*paragraphs[:place], *added, *paragraphs[place:]],
        defects=[label],
        intensity=round(share, 3) if label not in ("javascript", "blocked_word") else 1,
        path=f"/nude-portrait-of-1650-{number}.html" if label == "blocked_word" else None,
    )


def shingles(text: str, n: int = 5) -> set[tuple[str, ...]]:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def similarity(first: str, second: str) -> float:
    """Jaccard similarity of the sets of word 5-grams: what MinHash estimates."""
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


def mirror(original: Draft, cluster: int) -> Draft:
    return replace(
        original,
        defects=["mirror"],
        intensity=0.0,
        cluster=cluster,
        similarity=1.0,
        expected="drop",
        stage="deduplicate",
        path=None,
    )


BANDS = ((0.9, 1.0), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.2, 0.5))
COPIES = (None, *BANDS, *BANDS[1:4])
"""The bands of one copy after another, most where MinHash is in two minds; None changes one word."""


def near_duplicate(rng: Random, original: Draft, cluster: int, band: tuple[float, float] | None) -> Draft:
    """A copy with one changed word (no band), or with so many sentences replaced that its similarity falls into `band`.

    Intensity is the share of the sentences that were replaced. Above 0.8 the copy must go, below 0.5 it must stay.
    """
    if band is None:
        body = [p.split(" ") for p in original.paragraphs]
        words = rng.choice(body)
        words[rng.randrange(len(words))] = "meanwhile"
        paragraphs, share = [" ".join(words) for words in body], 0.0
    else:
        low, high = band
        aim, replaced = rng.uniform(low, high), 0
        texts = [p.replace("\n", " ").rstrip(".").split(". ") for p in original.paragraphs]
        parts = [(i, j) for i, text in enumerate(texts) for j in range(len(text))]
        for i, j in rng.sample(parts, len(parts)):
            before, texts[i][j] = texts[i][j], sentence(rng)[:-1]
            text = "\n".join([original.title, *(". ".join(text) + "." for text in texts)])
            alike = similarity(original.text, text)
            if alike < low and replaced:  # a long sentence; a shorter one may fit
                texts[i][j] = before
                continue
            replaced += 1
            if alike <= aim:
                break
        paragraphs, share = [". ".join(text) + "." for text in texts], replaced / len(parts)
    copy = replace(
        original,
        paragraphs=paragraphs,
        defects=["near_duplicate"],
        intensity=round(share, 3),
        cluster=cluster,
        path=None,
        stage="deduplicate",
    )
    copy.similarity = similarity(original.text, copy.text)
    copy.expected = "drop" if copy.similarity >= 0.8 else "keep" if copy.similarity < 0.5 else "either"
    return copy


NAMES = ("Anna Berg", "Peter Holm", "Clara Voss", "Tom Reyes", "Mina Okoye", "Jonas Weil", "Ruth Adler", "Lea Novak")


def _luhn(digits: str) -> str:
    """Append the check digit of a card number (ISO/IEC 7812)."""
    total = sum(sum(divmod(2 * int(d), 10)) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


# Length and letters of account numbers by country (ISO 13616); L stands for a letter, 0 for a digit.
ACCOUNTS = {"DE": "0" * 18, "FR": "0" * 20 + "L00", "GB": "LLLL" + "0" * 14, "NL": "LLLL" + "0" * 10, "ES": "0" * 20}


def _iban(rng: Random) -> str:
    """An IBAN with a right check sum (ISO 13616), in one piece or in groups of four."""
    country = rng.choice(sorted(ACCOUNTS))
    account = "".join(rng.choice("ABCDHLMNRST" if c == "L" else "0123456789") for c in ACCOUNTS[country])
    number = "".join(str(int(c, 36)) for c in account + country)
    plain = f"{country}{98 - int(number + '00') % 97:02d}{account}"
    return " ".join(plain[i : i + 4] for i in range(0, len(plain), 4)) if rng.random() < 0.5 else plain


def personal_value(rng: Random, kind: str, name: str) -> str:
    first, last = name.lower().split()
    if kind == "email":
        user = rng.choice(
            (
                f"{first}.{last}",
                f"{first[0]}{last}{rng.randint(1, 99)}",
                f"{first}_{last}",
                f"{first}+news",
                f"{first.title()}.{last.title()}",
                f"office-{last}",
            )
        )
        host = rng.choice(("harbourmail", "post", "letters", "oldmill", "mail.old-mill"))
        return f"{user}@{host}.{rng.choice(('com', 'org', 'net', 'co.uk'))}"
    if kind == "phone":
        area, number = rng.randint(201, 989), rng.randint(1000, 9999)
        forms = (
            f"({area}) 555-{number}",
            f"{area}-555-{number}",
            f"{area}.555.{number}",
            f"+1 {area} 555 {number}",
            f"+1-{area}-555-{number}",
            f"+49 30 {rng.randint(1000000, 9999999)}",
            f"+44 20 7946 {number}",
            f"+33 1 {rng.randint(10, 99)} {rng.randint(10, 99)} {rng.randint(10, 99)} {rng.randint(10, 99)}",
        )
        return rng.choice(forms)
    if kind == "ip":
        return (
            f"{rng.choice((8, 45, 78, 93, 141, 185))}.{rng.randint(1, 254)}.{rng.randint(1, 254)}.{rng.randint(1, 254)}"
        )
    if kind == "iban":
        return _iban(rng)
    if rng.random() < 0.2:  # fifteen digits, in groups of 4, 6 and 5
        digits = _luhn("37" + "".join(rng.choices("0123456789", k=12)))
        return f"{digits[:4]} {digits[4:10]} {digits[10:]}" if rng.random() < 0.5 else digits
    digits = _luhn(rng.choice(("4", "51", "55")) + "".join(rng.choices("0123456789", k=16))[:14])[:16]
    digits = _luhn(digits[:15])
    joint = rng.choice((None, " ", "-"))
    return digits if joint is None else joint.join(digits[i : i + 4] for i in range(0, 16, 4))


def _spoilt(value: str) -> str:
    """The same number with another last digit, so that its check sum fails."""
    return value[:-1] + str((int(value[-1]) + 1) % 10)


def lookalike_value(rng: Random, kind: str) -> str:
    """A number that a hasty pattern takes for personal data."""
    if kind == "card":
        return _spoilt(personal_value(rng, "card", NAMES[0]))
    if kind == "iban":
        value = _iban(rng)
        return _spoilt(value) if value[-1].isdigit() else value[:-1] + chr(ord(value[-1]) + 1)
    draw = rng.randint
    return {
        "order": f"{draw(100, 999)}-{draw(1000000, 9999999)}-{draw(1000000, 9999999)}",
        "date": rng.choice(
            (f"{draw(1990, 2025)}-{draw(10, 12)}-{draw(10, 28)}", f"{draw(10, 28)}.{draw(10, 12)}.{draw(1990, 2025)}")
        ),
        "version": f"{draw(1, 12)}.{draw(0, 20)}.{draw(0, 9)}.{draw(1, 4000 if draw(0, 1) else 200)}",
        "price": rng.choice(
            (
                f"${draw(1, 9)},{draw(100, 999)},{draw(100, 999)}.{draw(10, 99)}",
                f"{draw(10, 99)} {draw(100, 999)} {draw(100, 999)}",
            )
        ),
        "book": f"978-3-{draw(10, 99)}-{draw(100000, 999999)}-{draw(0, 9)}",
        "private_ip": rng.choice(
            (f"192.168.{draw(0, 254)}.{draw(1, 254)}", f"10.0.{draw(0, 254)}.{draw(1, 254)}", "127.0.0.1")
        ),
        "decimal": f"{draw(1, 99)}.{draw(10**9, 10**13)}",
        "handle": f"@{rng.choice(('oldmill', 'ferry_office', 'brassband'))}{draw(1, 99)}",
        "expression": f"{draw(1000, 9999)}-{draw(1000, 9999)}*{draw(10, 99)}",
    }[kind]


LOOKALIKES = {
    "card": "The parcel carries the code {value} on its label.",
    "iban": "In the register the shelf is listed as {value} since spring.",
    "order": "The order number is {value} as printed on the slip.",
    "date": "The bell was cast on {value} in the yard.",
    "version": "The clock in the tower runs on version {value} of its program.",
    "price": "The new roof cost {value} in all.",
    "book": "The guide to the harbour is found under ISBN {value} in every shop.",
    "private_ip": "The lamp in the hall answers at {value} inside the house.",
    "decimal": "The measured length was {value} steps.",
    "handle": "The band signs its posters with {value} this year.",
    "expression": "On the blackboard somebody had left {value} without an answer.",
}


def lookalike(rng: Random, original: Draft) -> Draft:
    """A good page with one to four numbers that are not personal data; it is clean and must not be touched."""
    items, paragraphs = [], list(original.paragraphs)
    for kind in rng.sample(sorted(LOOKALIKES), rng.choice((1, 2, 4))):
        value = lookalike_value(rng, kind)
        items.append({"kind": kind, "value": value})
        paragraphs[rng.randrange(len(paragraphs))] += " " + LOOKALIKES[kind].format(value=value)
    return replace(original, paragraphs=paragraphs, lookalikes=items)


CONTACT = {
    "email": "You can write to {name} at {value} with any question.",
    "phone": "To book a place call {name} under {value} before noon.",
    "ip": "The last change came from the address {value} late at night.",
    "iban": "Gifts for the roof may be sent to {name}, account {value}, at any time.",
    "card": "By mistake the note of {name} showed the card number {value} in full.",
}


def personal(rng: Random, original: Draft) -> Draft:
    """A good page with one piece of personal data … a contact page of twenty, in sentences of their own."""
    count = rng.choice((1, 1, 2, 4, 10, 20))
    items, paragraphs = [], list(original.paragraphs)
    for _ in range(count):
        kind, name = rng.choice(("email", "email", "phone", "ip", "iban", "card")), rng.choice(NAMES)
        value = personal_value(rng, kind, name)
        items.append({"kind": kind, "value": value})
        place = rng.randrange(len(paragraphs))
        paragraphs[place] += " " + CONTACT[kind].format(name=name, value=value)
    return replace(original, paragraphs=paragraphs, defects=["personal"], intensity=count, personal=items)


def contaminated(rng: Random, original: Draft, tasks: list[Task]) -> Draft:
    """A good page that also shows evaluation items word for word: one, three or eight."""
    chosen = rng.sample(tasks, min(len(tasks), rng.choice((1, 3, 8))))
    extra = [f"{task.prompt} {task.answer}." for task in chosen]
    return replace(
        original,
        paragraphs=[*original.paragraphs, *extra],
        defects=["contaminated"],
        intensity=len(extra),
        contaminants=[task.id for task in chosen],
        expected="drop",
        stage="deduplicate",
    )


def bad_pages(rng: Random, good: list[Draft], params: DefectParams, blocked_domains: list[str]) -> Iterator[Draft]:
    """All added pages, copies included; `good` is read only to copy from it."""
    total = len(good)
    for _ in range(round(params.blocked * total)):
        yield blocked(rng, blocked_domains)
    codes = sorted(OTHER_LANGUAGES)
    for number in range(round(params.language * total)):
        yield other_language(rng, codes[number % len(codes)])
    makers = (
        (params.thin, thin),
        (params.repetitive, repetitive),
        (params.lists, short_lines),
        (params.marked, marked),
    )
    for share, make in makers:
        for _ in range(round(share * total)):
            yield make(rng)
    for number in range(round(params.garbled * total)):
        yield garbled(rng, number)
    plain = [draft for draft in good if not draft.defects]
    rng.shuffle(plain)
    nears = min(round(params.near_duplicate * total), len(plain) // 2)
    pool, cluster = plain[nears:], -1
    for cluster, original in enumerate(plain[:nears]):
        original.cluster = cluster  # one copy each: whether a pair is found depends on its similarity alone
        yield near_duplicate(rng, original, cluster, COPIES[cluster % len(COPIES)])
    mirrors = round(params.mirror * total)
    while mirrors > 0 and pool:
        original, cluster = pool.pop(), cluster + 1
        original.cluster = cluster
        for _ in range(min(mirrors, rng.choice((1, 1, 1, 2, 4)))):
            mirrors -= 1
            yield mirror(original, cluster)
    for number in range(round(params.server * total)):
        answer = ("redirect", "missing", "error", "media", "revisit", "empty")[number % 6]
        yield Draft(
            sentence(rng)[:-1],
            [sentence(rng)],
            "server",
            defects=[f"server_{answer}"],
            expected="drop",
            stage="extract",
            answer=answer,
        )
