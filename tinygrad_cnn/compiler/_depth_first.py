"""Another order of a program's operations, for as few values at a time as possible."""

from __future__ import annotations

from collections.abc import Sequence

from ._symbols import Operation


def depth_first(operations: Sequence[Operation]) -> list[Operation]:
    """The operations in another order, in which few values wait.

    What was recorded last is followed first, and an operation waits until one that uses its
    result has everything else, unless it is the last to use an operand. So one sample of a batch
    is followed forward and back before the next is begun, and its gradients, which are added up
    from the last sample to the first, need not wait for those of others.
    """
    number = {operation.result: i for i, operation in enumerate(operations)}
    needs = [[number[s] for s in operation.operands() if s in number] for operation in operations]
    users: list[list[int]] = [[] for _ in operations]
    for i, needed in enumerate(needs):
        for j in needed:
            users[j].append(i)
    missing = [len(needed) for needed in needs]  # operands that are not computed
    blocked = missing.copy()  # operands that cannot be computed yet
    done = bytearray(len(operations))
    ready: list[int] = []
    wanted: list[int] = []  # by an operation that lacks nothing else
    order = []

    def allow(i: int) -> None:
        ready.append(i)
        if not users[i] or 1 in [len(users[j]) for j in needs[i]]:
            wanted.append(i)  # an operand goes as the result comes
        for user in users[i]:
            blocked[user] -= 1
            if not blocked[user]:
                wanted.extend(needs[user])

    for i, count in enumerate(missing):
        if not count:
            allow(i)
    while ready:
        i = wanted.pop() if wanted else ready.pop()
        if done[i]:
            continue
        done[i] = True
        order.append(operations[i])
        for user in users[i]:
            missing[user] -= 1
            if not missing[user]:
                allow(user)
    return order
