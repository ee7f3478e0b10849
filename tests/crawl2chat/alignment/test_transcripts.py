"""What is counted in answers: words of second thoughts, sums worked twice, a phrase that many share."""

from crawl2chat.alignment.transcripts import count_second_thoughts, second_thoughts, stock_phrase


def kinds(text):
    return {kind for kind, found in second_thoughts(text).items() if found}


def test_each_kind_is_told_by_its_words():
    assert kinds("12+3=15, so 15.") == set()
    assert kinds("12+3=14. Wait, that is wrong: 15.") == {"self_correction"}
    assert kinds("That leads nowhere, let me try 5 instead.") == {"backtracking"}
    assert kinds("Let me check: it is 15.") == {"recheck"}
    assert kinds("I was waiting for the actual checkpoint.") == set()


def test_a_sum_worked_twice_is_a_check_and_with_two_results_a_correction():
    assert kinds("12 + 3 = 15. 12+3=15, so 15.") == {"recheck"}
    assert kinds("12+3=14. 12+3=15, so 15.") == {"self_correction"}


def test_texts_are_counted_by_kind():
    counted = count_second_thoughts(["Wait, 5.", "wait: let me check", "6."])
    assert counted == {"self_correction": 2, "backtracking": 0, "recheck": 1}


def test_the_phrase_that_most_answers_share():
    texts = ["Riga. I hope this helps you.", "Rome. I hope this helps you.", "I hope this helps", "Oslo."]
    assert stock_phrase(texts) == ("i hope this helps", 0.75)
    assert stock_phrase(["one two three four", "five six seven eight"]) == ("", 0.0)
    assert stock_phrase([]) == ("", 0.0)
