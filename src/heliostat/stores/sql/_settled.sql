-- What ``store.Settled`` tells of a task.
t.state, t.result, t.width, t.block, t.reason
