"""The explorer's widget without a front end."""

import threading

from twolayer.explorer.widget import Explorer


class Heard(Explorer):
    """The widget, keeping what it says instead of sending it."""

    def __init__(self, request=None):
        self.said, self.news = [], threading.Condition()
        super().__init__(request)

    def send(self, content, buffers=None):
        with self.news:
            self.said.append(content)
            self.news.notify_all()

    def wait_for(self, kind, seconds=60):
        def found():
            return next((m for m in self.said if m["type"] == kind), None)

        with self.news:
            assert self.news.wait_for(found, seconds), kind
            return found()
