"""Forms that act once, and notices that are shown once."""

import asyncio

import pytest

from centralcloud.dashboard.actions.once import FORM_SECONDS, FullError, Notices, OnceForms


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_id_is_valid_for_its_owner_and_for_an_hour(clock: Clock) -> None:
    forms: OnceForms[int] = OnceForms(clock)
    form_id = forms.new_id("ada pin")
    assert forms.is_valid(form_id, "ada pin")
    assert not forms.is_valid(form_id, "ada unpin")
    assert not forms.is_valid(form_id, "grace pin")
    assert not OnceForms[int](clock).is_valid(form_id, "ada pin"), "of another process"
    time, _, rest = form_id.partition(".")
    assert not forms.is_valid(f"{int(time) + 1}.{rest}", "ada pin")
    for wrong in ("", ".", "..", "x.y.z", "é.é.é", "9" * 5000):
        assert not forms.is_valid(wrong, "ada pin")
    clock.now += FORM_SECONDS
    assert not forms.is_valid(form_id, "ada pin")


def test_a_form_acts_once_and_each_sender_gets_its_outcome(clock: Clock) -> None:
    forms: OnceForms[int] = OnceForms(clock)
    acted: list[int] = []

    async def act() -> int:
        acted.append(1)
        await asyncio.sleep(0)
        return len(acted)

    async def send() -> None:
        form_id = forms.new_id("ada")
        found = await asyncio.gather(*(forms.run(form_id, act, lambda _: True) for _ in range(3)))
        found.append(await forms.run(form_id, act, lambda _: True))
        assert found == [1, 1, 1, 1]
        assert await forms.run(forms.new_id("ada"), act, lambda _: True) == 2

    asyncio.run(send())


def test_a_sender_who_goes_does_not_stop_the_action(clock: Clock) -> None:
    forms: OnceForms[int] = OnceForms(clock)

    async def act() -> int:
        await asyncio.sleep(0.01)
        return 7

    async def send() -> None:
        form_id = forms.new_id("ada")
        first = asyncio.create_task(forms.run(form_id, act, lambda _: True))
        await asyncio.sleep(0)
        first.cancel()
        assert await forms.run(form_id, act, lambda _: True) == 7

    asyncio.run(send())


def test_a_form_that_changed_nothing_may_be_sent_again(clock: Clock) -> None:
    forms: OnceForms[int] = OnceForms(clock)
    outcomes = iter((0, 1, 2))

    async def act() -> int:
        return next(outcomes)

    async def send() -> list[int]:
        form_id = forms.new_id("ada")
        return [await forms.run(form_id, act, bool) for _ in range(3)]

    assert asyncio.run(send()) == [0, 1, 1]


def test_forms_are_bounded_and_forgotten_once_they_are_too_old(clock: Clock) -> None:
    forms: OnceForms[int] = OnceForms(clock, most=2)

    async def act() -> int:
        return 1

    async def send() -> None:
        for _ in range(2):
            await forms.run(forms.new_id("ada"), act, lambda _: True)
        with pytest.raises(FullError):
            await forms.run(forms.new_id("ada"), act, lambda _: True)
        clock.now += FORM_SECONDS
        assert await forms.run(forms.new_id("ada"), act, lambda _: True) == 1

    asyncio.run(send())


def test_a_notice_is_shown_once_to_its_owner_and_not_late(clock: Clock) -> None:
    notices: Notices[str] = Notices(clock, most=2)
    notices.put("ada", "first")
    notices.put("ada", "second")
    assert notices.take("grace") is None
    assert [notices.take("ada"), notices.take("ada")] == ["second", None]
    notices.put("ada", "late")
    clock.now += 301
    assert notices.take("ada") is None
    for owner in ("a", "b", "c"):
        notices.put(owner, owner)
    assert [notices.take(owner) for owner in ("a", "b", "c")] == [None, "b", "c"]
