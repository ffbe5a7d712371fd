from centralcloud.dashboard.pages.reuse import reused


def test_a_result_is_used_again_while_the_arguments_are_the_same() -> None:
    calls = []

    @reused
    def total(rows: tuple[int, ...], name: str) -> str:
        calls.append(rows)
        return f"{name}: {sum(rows)}"

    rows = (1, 2)
    assert [total(rows, "a"), total(rows, "".join(["a"])), total(rows, "b"), total((1, 3), "b"), total(rows, "b")] == [
        "a: 3",
        "a: 3",
        "b: 3",
        "b: 4",
        "b: 3",
    ]
    assert len(calls) == 4, "the second call has the same rows and an equal name"
    total((*rows, 4)[:2], "b")
    assert len(calls) == 5, "other rows that are equal are not compared one by one"


def test_a_call_of_another_thread_between_two_steps_does_not_change_the_result() -> None:
    @reused
    def name_of(given: object) -> str:
        return "mine" if isinstance(given, Interrupted) else "of the other"

    class Interrupted:
        """While two of them are compared, another dashboard of the process asks for its own."""

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Interrupted) and name_of("other") == "of the other"

        __hash__ = None  # type: ignore[assignment]

    name_of(Interrupted())
    assert name_of(Interrupted()) == "mine"
