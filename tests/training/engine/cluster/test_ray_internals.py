"""The private names of Ray exist, and do what they are used for."""

import pytest


def test_messages_of_ray_are_not_printed(capsys, monkeypatch):
    worker = pytest.importorskip("ray._private.worker")
    from dropout_zoo.training.engine.cluster.ray_internals import silence_messages

    message = {"lines": ["A node has died."], "pid": "raylet", "is_err": False}
    monkeypatch.setattr(worker, "_worker_logs_enabled", True)
    worker.print_to_stdstream(message, ignore_prefix=False)
    assert "A node has died." in capsys.readouterr().out
    silence_messages()
    worker.print_to_stdstream(message | {"lines": ["Another one."]}, ignore_prefix=False)
    assert capsys.readouterr().out == ""
