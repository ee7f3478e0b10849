"""Who the assistant is: what it says about itself, and the questions that training and evaluation ask about it."""

from crawl2chat.parameters import Params


class Identity(Params):
    """What the model says about itself where no system prompt says otherwise."""

    name: str
    maker: str
    version: str
    training_data: str


QUESTIONS = {
    "name": (
        "What is your name?",
        "Who are you?",
        "What are you called?",
        "Tell me your name.",
        "How shall I call you?",
    ),
    "maker": ("Who made you?", "Who built you?", "Who is your maker?", "Where do you come from?", "Who trained you?"),
    "version": ("Which version are you?", "What is your version?", "Tell me your version."),
    "training_data": ("What were you trained on?", "What have you read?", "What is your training data?"),
}
ANSWERS = {
    "name": "I am {name}, a small language model.",
    "maker": "I was made by {maker}.",
    "version": "I am version {version} of {name}.",
    "training_data": "I have read {training_data}.",
}
