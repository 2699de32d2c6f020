"""Any interleaving of commands, expiry, events, ticks, new windows and restarts agrees with the naive model."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.quota.machine.asking import CALLS, ROOT, START, TOKENS, confirm, extend, merged, release, reserve, show
from tests.quota.machine.model import Model
from tests.quota.machine.nature import Event, Nature
from tests.quota.machine.scene import (
    DAY,
    DELAYS,
    FATES,
    FEW,
    LAGS,
    LEVELS,
    MONTH,
    PICKS,
    SUBJECTS,
    has_holds,
    numbers,
    room_of,
    rules_at,
    told,
)

from taximeter_consumers.quota.machine.effects import Effect
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_schemas.quota.commands import Command, Confirm, Facts, Release, Reserve
from taximeter_schemas.quota.limits import MINUTE, Action
from taximeter_schemas.quota.subject import Subject


class Interleavings(RuleBasedStateMachine):
    """One root, up to a dozen holds, a truth of its own."""

    @initialize(known=st.sampled_from([True, True, True, False]))
    def begin(self, known: bool) -> None:
        self.at, self.raised, self.tries = START, 0, 0
        self.machine, self.model = Machine(0), Model()
        self.nature = Nature(rules_at(self.at, 0))
        self.log: list[tuple[Command, int, list[Effect]]] = []
        self.takes: list[tuple[int, dict[str, bytes | None]]] = []
        self.drawer: list[Facts] = []
        if known:
            self.do(self.facts(LEVELS, (0, 0)))

    # What callers do

    @rule(
        subject=st.sampled_from(SUBJECTS), tokens=FEW, calls=FEW, least=st.none() | FEW, lease=st.booleans(),
        ttl=st.sampled_from([1, 40, 600, 600, 4000]), wait=st.sampled_from([0, 5_000, 600_000]),
    )  # fmt: skip
    def reserve(  # noqa: PLR0913 - what a reserve says
        self, subject: Subject, tokens: int, calls: int, least: int | None, lease: bool, ttl: int, wait: int
    ) -> None:
        wanted = {TOKENS: Decimal(tokens), CALLS: Decimal(calls)} if calls else {TOKENS: Decimal(tokens)}
        at_least = None if least is None else {TOKENS: Decimal(min(least, tokens))}
        kind = "lease" if lease else "hold"
        said = {"amounts": wanted, "at_least": at_least, "kind": kind, "ttl_seconds": ttl, "wait_ms": wait}
        self.do(reserve(self.fresh(), subject, **said))

    @rule(subject=st.sampled_from(SUBJECTS), tokens=st.integers(1, 6), lease=st.booleans(), works=st.booleans())
    def reserve_plainly(self, subject: Subject, tokens: int, lease: bool, works: bool) -> None:
        self.do(reserve(self.fresh(), subject, tokens, kind="lease" if lease else "hold"))
        if works:
            self.work(0, max(1, tokens - 1), 0, "")

    @precondition(has_holds)
    @rule(parent=PICKS, first=st.integers(1, 4), used=st.integers(0, 4), more=FEW)
    def draw_twice(self, parent: int, first: int, used: int, more: int) -> None:
        """What the first does not use, the second may have."""
        outer, inner = self.current(parent), self.fresh()
        self.do(reserve(inner, tokens=first, parent=outer))
        if inner in self.model.holds and used:
            self.work(0, used, 1_000_000, "")
            self.do(self.settling(inner, 0, False))
        self.do(reserve(self.fresh(), tokens=more, parent=outer))

    @precondition(has_holds)
    @rule(
        parent=PICKS,
        tokens=FEW,
        calls=st.sampled_from([0, 0, 1]),
        least=st.none() | FEW,
        ttl=st.sampled_from([1, 40, 900]),
    )
    def reserve_within(self, parent: int, tokens: int, calls: int, least: int | None, ttl: int) -> None:
        wanted = {TOKENS: Decimal(tokens), CALLS: Decimal(calls)} if calls else {TOKENS: Decimal(tokens)}
        at_least = None if least is None else {TOKENS: Decimal(min(least, tokens))}
        self.do(reserve(self.fresh(), amounts=wanted, parent=self.current(parent), at_least=at_least, ttl_seconds=ttl))

    @precondition(has_holds)
    @rule(pick=PICKS)
    def reserve_again(self, pick: int) -> None:
        if self.current(pick) in self.model.holds:
            self.do(self.model.holds[self.current(pick)].asked)

    @rule(subject=st.sampled_from(SUBJECTS), tokens=FEW)
    def try_dry(self, subject: Subject, tokens: int) -> None:
        self.do(reserve("dry", subject, tokens, dry_run=True))

    @precondition(has_holds)
    @rule(pick=PICKS, more=st.sampled_from([0, 0, 1, 3]), silent=st.booleans())
    def confirm(self, pick: int, more: int, silent: bool) -> None:
        """What callers say was used is what was used, or more, up to what was held."""
        self.do(self.settling(self.current(pick), more, silent))

    @precondition(has_holds)
    @rule(pick=PICKS)
    def release(self, pick: int) -> None:
        """Only what has used nothing is released; callers confirm the rest."""
        hold = self.model.holds.get(self.current(pick))
        within = [] if hold is None else [one.id for one in self.model.tree(hold) if one is hold or one.state == "open"]
        used = any(event.hold_id in within for event in self.nature.events)
        self.do(self.settling(self.current(pick), 0, False) if used else release(self.current(pick)))

    @precondition(lambda self: self.model.waiting)
    @rule(pick=PICKS)
    def take_back(self, pick: int) -> None:
        """A caller gives up a reserve that waits."""
        _, asked = self.model.waiting[pick % len(self.model.waiting)]
        if isinstance(asked, Reserve):
            self.do(release(asked.hold_id))

    @precondition(has_holds)
    @rule(pick=PICKS, ttl=st.sampled_from([1, 60, 700]))
    def extend(self, pick: int, ttl: int) -> None:
        self.do(extend(self.current(pick), ttl))

    @rule(subject=st.sampled_from(SUBJECTS))
    def show(self, subject: Subject) -> None:
        self.do(show(subject))

    # What happens

    @precondition(has_holds)
    @rule(pick=PICKS, tokens=st.integers(1, 8), delay=DELAYS, fate=FATES)
    def work(self, pick: int, tokens: int, delay: int, fate: str) -> None:
        """Work never uses more than what is held for it and for what it lies in."""
        held = [h.id for h in self.model.holds.values() if h.state == "open" and h.until > self.at and self.room(h.id)]
        if held:
            hold = self.model.holds[held[-1 - pick % len(held)]]
            used = {TOKENS: min(Decimal(tokens), self.room(hold.id))}
            arrives = None if fate == "lost" else self.at + delay
            self.nature.events.append(Event(self.at, hold.id, fate != "anonymous", hold.levels, used, arrives))

    @precondition(has_holds)
    @rule(pick=PICKS, tokens=st.integers(1, 4), only=st.sets(st.sampled_from(LEVELS), min_size=1))
    def work_that_is_seen(self, pick: int, tokens: int, only: set[str]) -> None:
        """By some levels at once."""
        self.work(pick, tokens, 0, "")
        self.at += 1_000
        self.do(self.facts(sorted(only), (0, 0)))

    @rule(
        by=st.sampled_from(
            [1_000, 1_000_000, 20_000_000, MINUTE, 5 * MINUTE, 16 * MINUTE, 61 * MINUTE, 49 * 60 * MINUTE]
        )
    )
    def wait(self, by: int) -> None:
        self.at += by

    @rule(window=st.sampled_from([MINUTE, MINUTE, DAY, MONTH]), early=st.integers(0, 2))
    def wait_for_window(self, window: int, early: int) -> None:
        self.at += window - self.at % window - early

    @rule()
    def raise_limits(self) -> None:
        self.raised += 3

    # What ClickHouse says

    @rule(lag=LAGS, only=st.none() | st.sets(st.sampled_from(LEVELS), min_size=1), later=st.booleans())
    def tick(self, lag: tuple[int, int], only: set[str] | None, later: bool) -> None:
        facts = self.facts(LEVELS if only is None else sorted(only), lag)
        if later:
            self.drawer = [*self.drawer, facts][-4:]
        else:
            self.do(facts)

    @precondition(lambda self: self.drawer)
    @rule(data=st.data())
    def stale_facts(self, data: st.DataObject) -> None:
        self.do(data.draw(st.sampled_from(self.drawer)))

    @rule(level=st.sampled_from(LEVELS))
    def no_facts(self, level: str) -> None:
        self.do(Facts(root=ROOT, as_of=self.at, unavailable=(level,)))

    # What the service does

    @rule()
    def checkpoint(self) -> None:
        self.takes.append((len(self.log), self.machine.take_dirty()))
        if self.log:
            assert merged(*(take for _, take in self.takes)) == self.machine.records()

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        """The next owner has a checkpoint, perhaps none, and the log after it."""
        self.checkpoint()
        places = {0, *(place for place, _ in self.takes)}
        self.machine = self.replayed(data.draw(st.sampled_from(sorted(places))))

    # What must be so

    @invariant()
    def agrees(self) -> None:
        found = {(one.level, one.limit_id): numbers(one) for _, one in self.machine.standings()}
        said = self.model.standings()
        assert found == {key: (*one[:3], max(one[3], Decimal(0))) for key, one in said.items() if one is not None}

    @invariant()
    def never_counts_short(self) -> None:
        """What happened is used or held."""
        for _, one in self.machine.standings():
            end = one.resets_at or 2**62
            if one.starts_at <= self.at < end:
                used = self.nature.used(one.level, one.meter, one.window, one.starts_at, end)
                assert used <= one.used + one.held, (one, used)

    @invariant()
    def never_overshoots(self) -> None:
        """What happened, and what may still happen under open holds, never passes a hard limit that blocks."""
        for _, one in self.machine.standings():
            end = one.resets_at or 2**62
            if one.hard and one.action is Action.BLOCK and one.starts_at <= self.at < end:
                used = self.nature.used(one.level, one.meter, one.window, one.starts_at, end)
                tops = [h for h in self.model.holds.values() if h.asked.parent is None and h.until > self.at]
                granted = sum(
                    (self.room(h.id, one.meter) for h in tops if h.state == "open" and one.level in h.levels),
                    Decimal(0),
                )
                most = next(r.most for r in rules_at(self.at, self.raised)[one.level] if r.limit_id == one.limit_id)
                assert used + granted <= most, one

    def teardown(self) -> None:
        """Once all is closed, visible and past, nothing is left but the truth; and the whole log says it all again."""
        self.do(self.facts(LEVELS, (0, 0)))
        for hold in list(self.model.holds.values()):
            if hold.state == "open":
                self.do(self.settling(hold.id, 0, False))
        self.at += 7 * MINUTE
        self.do(self.facts(LEVELS, (0, 0)))
        for _, one in self.machine.standings():
            used = self.nature.used(one.level, one.meter, one.window, one.starts_at, one.resets_at or 2**62)
            assert (one.used, one.held, one.leased) == (used, 0, 0)
        self.at += 16 * MINUTE
        self.do(show())
        self.at += MINUTE
        self.do(show())
        self.checkpoint()
        assert not any(key.startswith("hold/") for key in merged(*(take for _, take in self.takes)))
        self.replayed(0)
        self.replayed(len(self.log))

    def do(self, command: Command) -> None:
        offset = len(self.log)
        effects = self.machine.apply(command, self.at, offset)
        self.log.append((command, self.at, effects))
        assert told(effects) == self.model.apply(command, self.at, offset)

    def replayed(self, place: int) -> Machine:
        """The machine of an earlier checkpoint with the rest of the log: the same answers, the same records."""
        records = merged(*(take for until, take in self.takes if until <= place))
        machine = Machine.restored(0, dict(sorted(records.items(), reverse=True)))
        for offset, (command, at, effects) in enumerate(self.log):
            if offset >= place:
                assert machine.apply(command, at, offset) == effects
        assert merged(records, machine.take_dirty()) == merged(*(take for _, take in self.takes))
        assert machine.records() == self.machine.records()
        return machine

    def facts(self, levels: list[str], lag: tuple[int, int]) -> Facts:
        self.at += 1
        self.nature.rules = rules_at(self.at, self.raised)
        return self.nature.facts(ROOT, levels, self.machine.open_transactions(ROOT), self.at, lag)

    def fresh(self) -> str:
        """An id that no other hold ever had."""
        self.tries += 1
        return f"h{self.tries}"

    def current(self, pick: int) -> str:
        """One of the last holds, or none."""
        holds = list(self.model.holds)[-8:]
        return holds[-1 - pick % len(holds)] if holds and pick < 7 else "none"

    def room(self, hold_id: str, meter: str = TOKENS) -> Decimal:
        return room_of(self.model, self.nature, hold_id, meter)

    def settling(self, hold_id: str, more: int, silent: bool) -> Confirm | Release:
        hold = self.model.holds.get(hold_id)
        if hold is None or silent:
            return Confirm(**(confirm(hold_id).model_dump()))
        used = self.nature.by([one.id for one in self.model.tree(hold)], TOKENS)
        return confirm(hold_id, tokens=int(max(used, min(used + more, hold.amounts.get(TOKENS, Decimal(0))))))


Interleavings.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_interleaving_agrees_with_the_model = Interleavings.TestCase
