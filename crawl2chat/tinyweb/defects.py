"""Everything that is wrong with a crawl, each defect made by its own generator and labelled with what should become of it.

In: good pages and a random generator. Out: `Draft`s — pages with text, URL words, labels, intensity and the expected
decision (`keep` or `drop`, and in which stage) — from which `site.py` makes HTML, WARC records and the truth manifest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from crawl2chat.parameters import Params


class DefectParams(Params):
    """How many defective pages there are for each good page, by kind; `personal` and `contaminated` change good pages."""

    blocked: float = 0.035  # blocked domains, banned words in the URL
    language: float = 0.06
    thin: float = 0.03
    repetitive: float = 0.035
    lists: float = 0.03  # tag clouds, directories, keyword spam
    marked: float = 0.03  # lorem ipsum, javascript notices, curly brackets
    garbled: float = 0.015
    mirror: float = 0.03
    near_duplicate: float = 0.05
    server: float = 0.05  # redirects, errors, other media types, revisits, empty bodies
    personal: float = 0.04
    contaminated: float = 0.01


@dataclass
class Draft:
    """A page before it is served, with its truth."""

    title: str
    paragraphs: list[str]
    kind: str
    facts: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    intensity: float | None = None  # share of the page (or count of items) that is defective
    cluster: int | None = None  # pages of one cluster are copies of each other
    similarity: float | None = None  # 5-gram Jaccard similarity with the original of the cluster
    expected: str = "keep"
    stage: str | None = None  # the stage that should drop it
    host: str | None = None  # a host the page must be on
    path: str | None = None
    language: str = "en"
    personal: list[dict[str, str]] = field(default_factory=list)
    contaminants: list[str] = field(default_factory=list)  # ids of evaluation tasks on the page
    answer: str = "html"  # html, redirect, missing, error, media, revisit, empty

    @property
    def text(self) -> str:
        return "\n".join([self.title, *self.paragraphs])


SUBJECTS = (
    "The old mill", "A quiet harbour", "The night train", "Our street", "The spring market", "A wooden bridge",
    "The town council", "An early frost", "The reading room", "A lost umbrella", "The brass band", "The ferry office",
    "A basket of pears", "The long winter", "The school garden", "A borrowed ladder", "The village clock", "The post boat",
)  # fmt: skip
VERBS = (
    "was closed for a week because of", "had little to do with", "reminded everybody of", "changed its plans after",
    "was painted green to honour", "kept the neighbours awake with", "was older than", "stood right behind",
    "became famous for", "was moved to make room for", "lost its roof during", "owed a great deal to",
)  # fmt: skip
OBJECTS = (
    "the heavy rain that fell on Tuesday", "a letter that nobody had signed", "the smell of fresh bread",
    "a rumour about the railway", "the new lamps along the quay", "an argument over the fence",
    "the visit of a travelling circus", "a crate of green apples", "the sound of the bells", "the work on the main road",
    "a story told by the boatman", "the colour of the shutters", "the first warm evening", "a drawer full of old maps",
)  # fmt: skip

OTHER_LANGUAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "de": (
        ("Der alte Bahnhof", "Unsere kleine Stadt", "Das Rathaus am Markt", "Die Bäckerei nebenan", "Ein stiller Garten"),
        ("wurde im vergangenen Jahr wegen", "liegt nicht weit von", "erinnert viele Leute noch an", "verdankt seinen Namen"),
        ("dem Hochwasser im Frühling geschlossen", "der Brücke über den Fluss", "einem Streit zwischen zwei Nachbarn", "der schönen Aussicht"),
    ),
    "fr": (
        ("La vieille gare", "Notre petite ville", "Le marché du samedi", "La boulangerie du coin", "Un jardin tranquille"),
        ("se trouve tout près de", "doit beaucoup à", "a été fermé pendant un mois à cause de", "rappelle aux habitants"),
        ("la rivière qui traverse la vallée", "les pluies de l'automne dernier", "une querelle entre deux voisins", "l'été de leur enfance"),
    ),
    "es": (
        ("La estación vieja", "Nuestro pequeño pueblo", "El mercado de los sábados", "La panadería de la esquina", "Un jardín tranquilo"),
        ("está muy cerca de", "debe mucho a", "estuvo cerrado un mes por culpa de", "recuerda a los vecinos"),
        ("el río que cruza el valle", "las lluvias del otoño pasado", "una pelea entre dos hermanos", "los veranos de su infancia"),
    ),
    "it": (
        ("La vecchia stazione", "Il nostro piccolo paese", "Il mercato del sabato", "Il forno all'angolo", "Un giardino tranquillo"),
        ("si trova molto vicino a", "deve molto a", "è rimasto chiuso per un mese a causa di", "ricorda agli abitanti"),
        ("quel fiume che attraversa la valle", "le piogge dello scorso autunno", "una lite tra due vicini", "le estati della loro infanzia"),
    ),
    "pl": (
        ("Stary dworzec", "Nasze małe miasto", "Sobotni targ", "Piekarnia na rogu", "Cichy ogród"),
        ("leży bardzo blisko", "wiele zawdzięcza", "był zamknięty przez miesiąc z powodu", "przypomina mieszkańcom"),
        ("rzeki, która płynie przez dolinę", "jesiennych deszczów", "kłótni dwóch sąsiadów", "letnich dni z dzieciństwa"),
    ),
    "sv": (
        ("Den gamla stationen", "Vår lilla stad", "Torget på lördagar", "Bageriet på hörnet", "En stilla trädgård"),
        ("ligger inte långt från", "har mycket att tacka", "var stängd en månad på grund av", "påminner invånarna om"),
        ("ån som rinner genom dalen", "höstens kraftiga regn", "ett gräl mellan två grannar", "barndomens långa somrar"),
    ),
    "ru": (
        ("Старый вокзал", "Наш маленький город", "Субботний рынок", "Пекарня на углу", "Тихий сад"),
        ("находится совсем рядом с", "многим обязан", "был закрыт целый месяц из-за", "напоминает жителям про"),
        ("реку, которая течёт через долину", "осенние дожди", "ссору двух соседей", "долгое лето их детства"),
    ),
    "el": (
        ("Ο παλιός σταθμός", "Η μικρή μας πόλη", "Η αγορά του Σαββάτου", "Ο φούρνος στη γωνία", "Ένας ήσυχος κήπος"),
        ("βρίσκεται πολύ κοντά σε", "οφείλει πολλά σε", "έμεινε κλειστός έναν μήνα εξαιτίας", "θυμίζει στους κατοίκους"),
        ("το ποτάμι που περνά την κοιλάδα", "τις βροχές του φθινοπώρου", "έναν καβγά ανάμεσα σε γείτονες", "τα καλοκαίρια τους"),
    ),
}  # fmt: skip


def sentence(rng: Random) -> str:
    """One harmless English sentence that tells nothing about the world."""
    return f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}."


def paragraph(rng: Random, sentences: int) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))


def blocked(rng: Random, domains: list[str]) -> Draft:
    """A clean text at an address that a blocklist or a word list names: the URL filter alone can tell."""
    draft = Draft(
        sentence(rng)[:-1], [paragraph(rng, 5) for _ in range(4)], "blocked", expected="drop", stage="extract"
    )
    if rng.random() < 0.5:
        return replace(draft, defects=["blocked_domain"], host=rng.choice(domains))
    words = rng.choice(("buy-viagra-online", "hardcore-webcam-show", "erotic-webcam", "cheap-viagra"))
    return replace(draft, defects=["blocked_word"], path=f"/{words}-{rng.randint(1, 999)}.html")


def other_language(rng: Random, code: str) -> Draft:
    subjects, verbs, objects = OTHER_LANGUAGES[code]

    def say() -> str:
        return f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(objects)}."

    paragraphs = [" ".join(say() for _ in range(rng.randint(3, 6))) for _ in range(rng.randint(3, 6))]
    return Draft(
        rng.choice(subjects),
        paragraphs,
        "language",
        defects=[f"language_{code}"],
        expected="drop",
        stage="filter",
        language=code,
    )


def thin(rng: Random) -> Draft:
    count = rng.choice((1, 2, 3))
    return Draft(
        sentence(rng)[:-1],
        [sentence(rng) for _ in range(count)],
        "thin",
        defects=["thin"],
        intensity=count,
        expected="drop",
        stage="filter",
    )


def repetitive(rng: Random) -> Draft:
    """Some sentences, then the same one, line or paragraph again and again; intensity is the repeated share of the text."""
    share = rng.choice((0.5, 0.7, 0.9))
    fresh = [paragraph(rng, 3) for _ in range(4)]
    unit = rng.choice((sentence(rng), paragraph(rng, 3)))
    repeats = max(3, round(share / (1 - share) * sum(map(len, fresh)) / len(unit)))
    lines, block = [unit] * repeats, [" ".join([unit] * repeats)]
    body = [*fresh, *rng.choice((lines, block))]
    return Draft(
        sentence(rng)[:-1],
        body,
        "repetitive",
        defects=["repetitive"],
        intensity=share,
        expected="drop",
        stage="filter",
    )


def short_lines(rng: Random) -> Draft:
    """Directories, tag clouds, keyword spam: many lines, hardly a sentence."""
    style = rng.choice(("directory", "bullets", "keywords"))
    words = [w for text in (*SUBJECTS, *OBJECTS) for w in text.lower().split()]
    if style == "directory":
        body = [f"{rng.choice(SUBJECTS)} {rng.randint(1, 400)}" for _ in range(rng.randint(40, 90))]
    elif style == "bullets":
        body = [f"- {' '.join(rng.sample(words, 4))} ..." for _ in range(rng.randint(40, 80))]
    else:
        body = [
            ", ".join(rng.choices(("cheap", "best", "buy", "online", "discount", "free", "deal"), k=14))
            for _ in range(25)
        ]
    return Draft("Index", body, "lists", defects=[f"list_{style}"], expected="drop", stage="filter")


LOREM = "Lorem ipsum dolor sit amet, the consectetur adipiscing elit, sed do eiusmod tempor of incididunt."


def marked(rng: Random) -> Draft:
    """Pages that C4's rules know by a mark: placeholder text, a javascript notice, program code with curly brackets."""
    style = rng.choice(("lorem_ipsum", "javascript", "curly_bracket"))
    body = [paragraph(rng, 4) for _ in range(4)]
    if style == "lorem_ipsum":
        body.insert(rng.randrange(5), LOREM)
    elif style == "javascript":
        body = [
            f"You need to enable Javascript in your browser to see how {sentence(rng)[0].lower()}{sentence(rng)[1:]}"
            for _ in range(9)
        ]
    else:
        body.insert(rng.randrange(1, 5), "function total(list) { return list.reduce((a, b) => a + b, 0); }")
    return Draft(sentence(rng)[:-1], body, "marked", defects=[style], expected="drop", stage="filter")


def garbled(rng: Random) -> Draft:
    """Text that a broken converter left behind: symbols, or characters drawn at random."""
    style = rng.choice(("symbols", "letters", "digits"))
    alphabet = {
        "symbols": "#*~^|<>@%&=+/\\0123456789",
        "letters": "bcdfghjklmnpqrstvwxzÃ©â€",
        "digits": "0123456789.,;:-",
    }[style]

    def word() -> str:
        return "".join(rng.choices(alphabet, k=rng.randint(2, 14)))

    body = [" ".join(word() for _ in range(60)) + "." for _ in range(6)]
    return Draft(
        sentence(rng)[:-1], body, "garbled", defects=[f"garbled_{style}"], expected="drop", stage="filter"
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


INTENSITIES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)  # share of sentences replaced; 0.0 changes one word


def near_duplicate(rng: Random, original: Draft, cluster: int) -> Draft:
    """A copy with one changed word … half the sentences replaced. Above 0.8 it must go, below 0.5 it must stay."""
    share = rng.choice(INTENSITIES)
    body = [p.split(" ") for p in original.paragraphs]
    if share == 0.0:
        words = rng.choice(body)
        words[rng.randrange(len(words))] = "meanwhile"
        paragraphs = [" ".join(words) for words in body]
    else:
        parts = [(i, s) for i, p in enumerate(original.paragraphs) for s in p.replace("\n", " ").split(". ")]
        chosen = set(rng.sample(range(len(parts)), max(1, round(share * len(parts)))))
        texts: list[list[str]] = [[] for _ in original.paragraphs]
        for number, (i, s) in enumerate(parts):
            texts[i].append(sentence(rng)[:-1] if number in chosen else s.rstrip("."))
        paragraphs = [". ".join(t) + "." for t in texts]
    copy = replace(
        original,
        paragraphs=paragraphs,
        defects=["near_duplicate"],
        intensity=share,
        cluster=cluster,
        path=None,
        stage="deduplicate",
    )
    copy.similarity = similarity(original.text, copy.text)
    copy.expected = "drop" if copy.similarity >= 0.8 else "keep" if copy.similarity < 0.5 else "either"
    return copy


NAMES = (
    "Anna Berg",
    "Peter Holm",
    "Clara Voss",
    "Tom Reyes",
    "Mina Okoye",
    "Jonas Weil",
    "Ruth Adler",
    "Lea Novak",
)


def _luhn(digits: str) -> str:
    """Append the check digit of a card number (ISO/IEC 7812)."""
    total = sum(sum(divmod(2 * int(d), 10)) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def _iban(rng: Random) -> str:
    """A German IBAN with a right check sum (ISO 13616)."""
    account = "".join(rng.choices("0123456789", k=18))
    check = 98 - int(account + "131400") % 97  # D = 13, E = 14
    plain = f"DE{check:02d}{account}"
    return " ".join(plain[i : i + 4] for i in range(0, 22, 4)) if rng.random() < 0.5 else plain


def personal_value(rng: Random, kind: str, name: str) -> str:
    first, last = name.lower().split()
    if kind == "email":
        user = rng.choice(
            (f"{first}.{last}", f"{first[0]}{last}{rng.randint(1, 99)}", f"{first}_{last}", f"{first}+news")
        )
        return f"{user}@{rng.choice(('harbourmail', 'post', 'letters', 'oldmill'))}.{rng.choice(('com', 'org', 'net', 'co.uk'))}"
    if kind == "phone":
        area, number = rng.randint(201, 989), rng.randint(1000, 9999)
        forms = (
            f"({area}) 555-{number}",
            f"{area}-555-{number}",
            f"+1 {area} 555 {number}",
            f"+49 30 {rng.randint(1000000, 9999999)}",
            f"+44 20 7946 {number}",
        )
        return rng.choice(forms)
    if kind == "ip":
        return f"{rng.choice((8, 45, 78, 93, 141, 185))}.{rng.randint(1, 254)}.{rng.randint(1, 254)}.{rng.randint(1, 254)}"
    if kind == "iban":
        return _iban(rng)
    digits = _luhn(rng.choice(("4", "51", "55")) + "".join(rng.choices("0123456789", k=16))[:14])[:16]
    digits = _luhn(digits[:15])
    return " ".join(digits[i : i + 4] for i in range(0, 16, 4)) if rng.random() < 0.5 else digits


CONTACT = {
    "email": "You can write to {name} at {value} with any question.",
    "phone": "To book a place call {name} under {value} before noon.",
    "ip": "The last change came from the address {value} late at night.",
    "iban": "Gifts for the roof may be sent to {name}, account {value}, at any time.",
    "card": "By mistake the note of {name} showed the card number {value} in full.",
}


def personal(rng: Random, original: Draft) -> Draft:
    """A good page with one to ten pieces of personal data in sentences of their own."""
    count = rng.choice((1, 1, 2, 4, 10))
    items, paragraphs = [], list(original.paragraphs)
    for _ in range(count):
        kind, name = rng.choice(("email", "email", "phone", "ip", "iban", "card")), rng.choice(NAMES)
        value = personal_value(rng, kind, name)
        items.append({"kind": kind, "value": value})
        place = rng.randrange(len(paragraphs))
        paragraphs[place] += " " + CONTACT[kind].format(name=name, value=value)
    return replace(original, paragraphs=paragraphs, defects=["personal"], intensity=count, personal=items)


def contaminated(rng: Random, original: Draft, tasks: list[dict]) -> Draft:
    """A good page that also shows evaluation items word for word."""
    chosen = rng.sample(tasks, min(len(tasks), rng.choice((1, 3))))
    extra = [f"{task['prompt']} {task['answer']}." for task in chosen]
    return replace(
        original, paragraphs=[*original.paragraphs, *extra], defects=["contaminated"], intensity=len(extra),
        contaminants=[task["id"] for task in chosen], expected="drop", stage="deduplicate",
    )  # fmt: skip


def bad_pages(
    rng: Random, good: list[Draft], params: DefectParams, blocked_domains: list[str]
) -> Iterator[Draft]:
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
        (params.garbled, garbled),
    )
    for share, make in makers:
        for _ in range(round(share * total)):
            yield make(rng)
    plain = [draft for draft in good if not draft.defects]
    mirrors, nears = round(params.mirror * total), round(params.near_duplicate * total)
    for number in range(mirrors):
        original = rng.choice(plain)
        original.cluster = original.cluster if original.cluster is not None else number
        yield mirror(original, original.cluster)
    for number in range(mirrors, mirrors + nears):
        original = rng.choice(plain)
        original.cluster = original.cluster if original.cluster is not None else number
        yield near_duplicate(rng, original, original.cluster)
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
