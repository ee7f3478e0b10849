"""What no model may have read: the prompts of every evaluation set that the crawl brought along.

In: tasks, of which those of the splits `dev` and `test` count, and one's own chat data and preferences, of which a part
is held out later: all that users say there counts. Out: items for `contamination.py`.
"""

from pathlib import Path

from crawl2chat.chat.datasets import read_conversations
from crawl2chat.chat.preference_sets import read_preferences
from crawl2chat.curation.contamination import Item
from crawl2chat.tasks import read_tasks


def evaluation_items(tasks: Path, chat: Path, preferences: Path) -> list[Item]:
    """The prompts of every evaluation set, in a fixed order."""
    items = [Item(task.id, task.skill, task.prompt) for task in read_tasks(tasks, splits=("dev", "test"))]
    for name, rows in (("chat", read_conversations(chat)[0]), ("preferences", read_preferences(preferences)[0])):
        for row in rows:
            prompts = [message["content"] for message in row["messages"] if message["role"] == "user"]
            items += [Item(f"{row['id']}#{turn}", name, text) for turn, text in enumerate(prompts)]
    return items
