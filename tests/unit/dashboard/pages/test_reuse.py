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
