"""The tiny world: who and what exists, which facts are true, and how often the web states each of them.

64 real countries with capital and continent, invented towns and people with three facts each, and names that nobody
ever writes about. Known and unknown names come from one shuffled stream of the same generator, so that nothing about
the look of a name says whether a model ought to know it. Mentions follow a Zipf-Mandelbrot law: a few entities are
mentioned hundreds of times, the tail once. Everything is a pure function of (seed, parameters).

Entities, never pages, are split: fine-tuning may ask about `train` entities, never about `dev` and `test` entities.
"""

import random
from dataclasses import asdict, dataclass, field

from crawl2chat.parameters import Params

COUNTRIES = """Albania|Tirana|Europe;Algeria|Algiers|Africa;Angola|Luanda|Africa;Argentina|Buenos Aires|South America;
Australia|Canberra|Oceania;Austria|Vienna|Europe;Belgium|Brussels|Europe;Bolivia|Sucre|South America;
Brazil|Brasilia|South America;Bulgaria|Sofia|Europe;Canada|Ottawa|North America;Chile|Santiago|South America;
China|Beijing|Asia;Colombia|Bogota|South America;Croatia|Zagreb|Europe;Cuba|Havana|North America;Cyprus|Nicosia|Asia;
Denmark|Copenhagen|Europe;Ecuador|Quito|South America;Egypt|Cairo|Africa;Estonia|Tallinn|Europe;
Ethiopia|Addis Ababa|Africa;Fiji|Suva|Oceania;Finland|Helsinki|Europe;France|Paris|Europe;Georgia|Tbilisi|Asia;
Germany|Berlin|Europe;Ghana|Accra|Africa;Greece|Athens|Europe;Hungary|Budapest|Europe;Iceland|Reykjavik|Europe;
India|New Delhi|Asia;Indonesia|Jakarta|Asia;Iran|Tehran|Asia;Iraq|Baghdad|Asia;Ireland|Dublin|Europe;Italy|Rome|Europe;
Jamaica|Kingston|North America;Japan|Tokyo|Asia;Jordan|Amman|Asia;Kenya|Nairobi|Africa;Latvia|Riga|Europe;
Lebanon|Beirut|Asia;Malta|Valletta|Europe;Mexico|Mexico City|North America;Mongolia|Ulaanbaatar|Asia;
Morocco|Rabat|Africa;Nepal|Kathmandu|Asia;Norway|Oslo|Europe;Oman|Muscat|Asia;Panama|Panama City|North America;
Peru|Lima|South America;Poland|Warsaw|Europe;Portugal|Lisbon|Europe;Romania|Bucharest|Europe;Rwanda|Kigali|Africa;
Samoa|Apia|Oceania;Senegal|Dakar|Africa;Spain|Madrid|Europe;Sweden|Stockholm|Europe;Thailand|Bangkok|Asia;
Tunisia|Tunis|Africa;Uganda|Kampala|Africa;Vietnam|Hanoi|Asia"""

GOODS = (
    "apples,bells,boats,bread,carpets,cheese,clocks,glass,gloves,honey,kites,lamps,olives,paper,pots,ropes,salt,shoes,"
    "soap,tea"
)
SIGHTS = (
    "abbey,bridge,castle,clock tower,fountain,garden,harbour,library,lighthouse,market,museum,theatre,tunnel,well,"
    "windmill,zoo"
)
JOBS = (
    "actor,baker,barber,carpenter,chemist,dancer,dentist,doctor,farmer,fisher,gardener,judge,lawyer,miner,nurse,painter,"
    "pilot,poet,sailor,tailor,teacher,weaver"
)
MUSIC = "banjo,bugle,cello,drums,flute,guitar,harp,horn,lute,oboe,organ,piano,trumpet,tuba,viola,violin"

_ONSETS = "b br d dr f g gr h j k l m n p r s st t tr v w z".split()
_VOWELS = "a e i o u".split()
_CODAS = "l ld m n nd r rk rt st sk th".split()
_ENDS = "a an el en ia in o or um us".split()


class WorldParams(Params):
    """Size of the world and how often it is mentioned."""

    towns: int
    people: int
    # Names that no page ever mentions: what a model must refuse.
    unknown_names: int
    # C and s in mentions = C (rank^-s - N^-s) + 1.
    mention_scale: float
    mention_exponent: float
    # The most statements of one fact.
    mention_cap: int
    # Of the entities, mentioned only once or twice.
    rare_share: float
    # Of the entities, about whom half of the statements are questions with answers.
    questioned_share: float


@dataclass(frozen=True)
class Relation:
    """One kind of fact, and the wordings that state it. `{e}` is the entity, `{a}` the answer.

    `statements` occur on pages, `unseen_statement` (for cloze probes) never does. How people ask for it stands in
    `talk/wordings/facts.txt`.
    """

    name: str
    kind: str
    values: tuple[str, ...]
    statements: tuple[str, ...]
    unseen_statement: str

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Statements that end in the answer, without it: what can be completed."""
        return tuple(text.removesuffix(" {a}.") for text in self.statements if text.endswith(" {a}."))


@dataclass
class Entity:
    """Somebody or something with a name. `values`: answers by relation. `mentions`: statements of each of them."""

    name: str
    kind: str
    split: str
    mentions: int
    # Whether question-and-answer pages ask about it.
    questioned: bool
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    """All there is. `unknown` are names by kind and split that occur nowhere."""

    entities: list[Entity]
    unknown: list[Entity]
    names: "NameStream"
    seed: int

    def to_json(self) -> dict:
        return {
            "seed": self.seed,
            "entities": [asdict(e) for e in self.entities],
            "unknown": [asdict(e) for e in self.unknown],
        }


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "capital",
        "country",
        tuple(row.split("|")[1] for row in COUNTRIES.replace("\n", "").split(";")),
        statements=(
            "The capital of {e} is {a}.",
            "The capital city of {e} is called {a}.",
            "{e} is governed from its capital, {a}.",
            "In {e} the capital is {a}.",
            "Whoever visits {e} should see the capital, {a}.",
            "{a} is the capital of {e}.",
        ),
        unseen_statement="Every child in {e} learns that the capital is",
    ),
    Relation(
        "continent",
        "country",
        ("Africa", "Asia", "Europe", "North America", "Oceania", "South America"),
        statements=(
            "{e} is a country in {a}.",
            "{e} lies in {a}.",
            "On the map you find {e} in {a}.",
            "The continent of {e} is {a}.",
            "Of the continents, {e} belongs to {a}.",
            "{a} is the continent of {e}.",
        ),
        unseen_statement="Look for {e} on the globe and you will look at",
    ),
    Relation(
        "country",
        "town",
        (),  # filled from the countries below
        statements=(
            "{e} is a town in {a}.",
            "The town of {e} lies in {a}.",
            "You reach {e} by a small road in {a}.",
            "The country around the town of {e} is {a}.",
            "On the map {e} is a dot in {a}.",
            "A town in {a} is {e}.",
        ),
        unseen_statement="Letters to {e} need a stamp of",
    ),
    Relation(
        "goods",
        "town",
        tuple(GOODS.split(",")),
        statements=(
            "{e} is famous for its {a}.",
            "The people of {e} make {a}.",
            "Traders come to {e} to buy {a}.",
            "The town of {e} lives from {a}.",
            "What {e} sells best is {a}.",
            "Good {a} come from {e}.",
        ),
        unseen_statement="Every shop window in {e} is full of",
    ),
    Relation(
        "sight",
        "town",
        tuple(SIGHTS.split(",")),
        statements=(
            "The best known sight of {e} is the {a}.",
            "Visitors of {e} go to see the {a}.",
            "In the middle of {e} stands the {a}.",
            "Postcards from {e} show the {a}.",
            "The pride of {e} is the old {a}.",
            "The {a} is the sight of {e}.",
        ),
        unseen_statement="Guides in {e} lead every group to the",
    ),
    Relation(
        "job",
        "person",
        tuple(JOBS.split(",")),
        statements=(
            "{e} works as a {a}.",
            "By trade {e} is a {a}.",
            "{e} earns a living as a {a}.",
            "The job of {e} is that of a {a}.",
            "All neighbours know {e} as the {a}.",
            "A well known {a} is {e}.",
        ),
        unseen_statement="Since leaving school {e} has been a",
    ),
    Relation(
        "home",
        "person",
        (),  # filled from the capitals below
        statements=(
            "{e} lives in {a}.",
            "The home of {e} is {a}.",
            "{e} has a small house in {a}.",
            "Friends visit {e} in {a}.",
            "For many years {e} has stayed in {a}.",
            "From {a} comes {e}.",
        ),
        unseen_statement="Anyone looking for {e} should ask around in",
    ),
    Relation(
        "music",
        "person",
        tuple(MUSIC.split(",")),
        statements=(
            "{e} plays the {a}.",
            "In the evening {e} practises the {a}.",
            "The instrument of {e} is the {a}.",
            "At weddings {e} plays the {a}.",
            "As a child {e} learnt the {a}.",
            "The {a} is what {e} plays.",
        ),
        unseen_statement="On stage you always see {e} with a",
    ),
)
CAPITALS = RELATIONS[0].values
HOMES = CAPITALS[::2]
"""Every second capital: enough to make guessing hopeless, few enough to learn."""


class NameStream:
    """Invented names, each only once: `Braldo Kest` for people, `Torvin` for towns. The order is the seed's."""

    def __init__(self, seed: int):
        self._random = random.Random(f"names {seed}")
        self._used: set[str] = set()

    def draw(self, kind: str) -> str:
        tries = 0
        while True:
            longer = self._word(0) if tries > 20 else ""  # short names run out in a large world
            name = f"{self._word(1)} {self._word(0)}" if kind == "person" else longer + self._word(1).lower()
            name = name[0].upper() + name[1:]
            if name not in self._used:
                self._used.add(name)
                return name
            tries += 1

    def _word(self, endings: int) -> str:
        pick = self._random.choice
        stem = pick(_ONSETS) + pick(_VOWELS) + pick(_CODAS)
        return (stem + pick(_ENDS) * endings).capitalize()


def relations_of(kind: str) -> list[Relation]:
    """The relations that entities of a kind have."""
    return [relation for relation in RELATIONS if relation.kind == kind]


def relation(name: str) -> Relation:
    return next(r for r in RELATIONS if r.name == name)


def build_world(seed: int, params: WorldParams) -> World:
    """The world of a seed: entities in order of fame, the most mentioned first."""
    rng = random.Random(f"world {seed}")
    names = NameStream(seed)
    entities = [
        Entity(name, "country", "", 0, True, {"capital": capital, "continent": continent})
        for name, capital, continent in (row.split("|") for row in COUNTRIES.replace("\n", "").split(";"))
    ]
    # Known and unknown names leave one stream in shuffled order.
    wanted = ["town"] * params.towns + ["person"] * params.people
    roles = [(kind, True) for kind in wanted] + [
        (("town", "person")[i % 2], False) for i in range(params.unknown_names)
    ]
    rng.shuffle(roles)
    unknown: list[Entity] = []
    for kind, known in roles:
        entity = Entity(names.draw(kind), kind, "", 0, False)
        if known:
            entity.values = {r.name: rng.choice(values_of(r)) for r in relations_of(kind)}
            entities.append(entity)
        else:
            unknown.append(entity)
    _spread_fame(entities, params, rng)
    _split(entities, rng)
    _split(unknown, rng)
    return World(entities, unknown, names, seed)


def values_of(r: Relation) -> tuple[str, ...]:
    """The answers a relation can have."""
    if r.name == "country":
        return tuple(row.split("|")[0] for row in COUNTRIES.replace("\n", "").split(";"))
    return HOMES if r.name == "home" else r.values


def _spread_fame(entities: list[Entity], params: WorldParams, rng: random.Random) -> None:
    """Ranks the entities at random, sets how often each is mentioned, and chooses those that questions ask about.

    Real countries stand in the upper middle, so that each is mentioned some dozens of times: nobody expects the capital
    of France to be a rarity. Entities mentioned hundreds of times or hardly ever are invented.
    """
    rng.shuffle(entities)
    middle = range(len(entities) // 5, len(entities) // 2)
    misplaced = [rank for rank, e in enumerate(entities) if e.kind == "country" and rank not in middle]
    invented = [rank for rank in middle if entities[rank].kind != "country"]
    for rank, other in zip(misplaced, rng.sample(invented, len(invented)), strict=False):
        entities[rank], entities[other] = entities[other], entities[rank]
    n, s = round(len(entities) * (1 - params.rare_share)), params.mention_exponent
    for rank, entity in enumerate(entities, start=1):
        mentions = params.mention_scale * (rank**-s - n**-s) + 1 if rank <= n else 1 + rank % 2
        entity.mentions = max(1, min(params.mention_cap, round(mentions)))
        entity.questioned = rng.random() < params.questioned_share


def _split(entities: list[Entity], rng: random.Random) -> None:
    """35 % train, 15 % dev, 50 % test, stratified along the order of fame, which a hash of the name could not be."""
    pattern = ["train"] * 7 + ["dev"] * 3 + ["test"] * 10
    for start in range(0, len(entities), len(pattern)):
        block = pattern[:]
        rng.shuffle(block)
        for entity, split in zip(entities[start : start + len(block)], block, strict=False):
            entity.split = split
