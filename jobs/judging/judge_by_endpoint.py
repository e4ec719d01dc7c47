"""A model behind an endpoint as judge: every pair is asked in both orders."""

from collections.abc import Mapping, Sequence

from instructmining.errors import UserError
from instructmining.judging.endpoint import JudgeEndpoint, Reply
from instructmining.judging.pairs import (
    QUESTION_VERSION,
    SYSTEM,
    Judgement,
    Verdict,
    both_orders,
    question,
    read_verdict,
)
from jobs.judging.shown_pairs import Shown
from jobs.judging.verdict_table import Ruling, Verdicts

_AT_ONCE = 64  # questions between two commits: what a stopped run asks again at most


def judge_by_endpoint(
    verdicts: Verdicts, endpoint: JudgeEndpoint, pairs: Sequence[Shown]
) -> list[Judgement]:
    """Judge each pair; verdicts that are stored are not asked for again.

    Raises:
        UserError: the endpoint refuses every question.
    """
    # With the URL: another server under the same model's name is another judge.
    judge = f"{endpoint.judge.model} at {endpoint.url} {QUESTION_VERSION}"
    different = [shown for shown in pairs if not shown.equal]
    orders = {order.key(judge): order for shown in different for order in (shown, shown.turned())}
    known = verdicts.known(list(orders))
    open_questions = [(key, shown) for key, shown in orders.items() if key not in known]
    if open_questions:
        _announce(endpoint, len(open_questions), len(known))
    replies: dict[str, Reply] = {}
    for start in range(0, len(open_questions), _AT_ONCE):
        batch = open_questions[start : start + _AT_ONCE]
        replies |= _ask(verdicts, endpoint, judge, batch)
    if open_questions and not known and all(reply.refused for reply in replies.values()):
        reason = replies[open_questions[0][0]].reason
        raise UserError(
            "the judge's endpoint refuses every question; check judge.url and judge.model: "
            f"{reason}"
        )
    known |= {key: read_verdict(r.text) for key, r in replies.items() if r.text is not None}
    return [_judgement(shown, judge, known, replies) for shown in pairs]


def _announce(endpoint: JudgeEndpoint, questions: int, stored: int) -> None:
    name = endpoint.judge.model
    print(f"judge: {questions:,} questions to {name}, {stored:,} answered before", flush=True)


def _ask(
    verdicts: Verdicts, endpoint: JudgeEndpoint, judge: str, batch: Sequence[tuple[str, Shown]]
) -> dict[str, Reply]:
    """Ask and store; a question without a reply is not stored, so another run asks it again."""
    replies = endpoint.ask_all([(SYSTEM, question(s.history, *s.answers)) for _, s in batch])
    rulings = [
        Ruling(shown, read_verdict(reply.text), tokens=reply.tokens)
        for (_, shown), reply in zip(batch, replies, strict=True)
        if reply.text is not None
    ]
    verdicts.add(judge, rulings)
    return {key: reply for (key, _), reply in zip(batch, replies, strict=True)}


def _judgement(
    shown: Shown, judge: str, known: Mapping[str, Verdict], replies: Mapping[str, Reply]
) -> Judgement:
    if shown.equal:
        return Judgement("tie")
    straight = shown.key(judge)
    turned = shown.turned().key(judge)
    if missing := [key for key in (straight, turned) if key not in known]:
        return Judgement("unjudged", replies[missing[0]].reason)
    return Judgement(both_orders(known[straight], known[turned]))
