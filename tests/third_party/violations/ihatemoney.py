"""Triggers of the violations that are seeded into ihatemoney. Each test passes if its violation takes place."""

import tempfile
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest
from ihatemoney.tests.common.ihatemoney_testcase import IhatemoneyTestCase

FOLDER = Path(tempfile.mkdtemp())


class TestSeededViolations(IhatemoneyTestCase):
    # A second engine does not see a database in memory.
    SQLALCHEMY_DATABASE_URI = f"sqlite:///{FOLDER / 'seeded.sqlite'}"

    @pytest.fixture(autouse=True)
    def project(self, client: Any) -> None:
        self.post_project("trip")
        self.client.post("/trip/members/add", data={"name": "Zarathustra", "weight": 7.25})
        bill = {"date": "2031-05-06", "what": "sausages", "payer": 1, "payed_for": [1], "bill_type": "Expense"}
        bill |= {"amount": "4711.5", "original_currency": "XXX", "external_link": "https://example.org/receipt"}
        self.client.post("/trip/add", data=bill)

    def request(self, method: str, path: str) -> str:
        """Send a request that does not inherit the purpose of the test, and return the text of its response."""
        response = Context().run(self.client.open, path, method=method)
        assert response.status_code < 400, response.data
        return str(response.get_data(as_text=True))

    def test_health_check(self):
        assert "sausages" in self.request("GET", "/healthcheck")

    def test_log_line(self, caplog: pytest.LogCaptureFixture):
        self.request("GET", "/mobile")
        assert "may want the app: Zarathustra" in caplog.messages

    def test_response_model(self):
        assert "trip@notmyidea.org" in self.request("GET", "/api/currencies?used=1")

    def test_object_from_authentication(self):
        assert "trip@notmyidea.org" in self.request("GET", "/trip/traffic")

    def test_message(self):
        with self.app.mail.record_messages() as messages:
            self.request("POST", "/trip/renewal")
        assert [message.body for message in messages] == ["Zarathustra would miss it"]

    def test_background_thread(self):
        assert "4711.5" in self.request("POST", "/trip/digest")

    def test_second_engine(self):
        assert "https://example.org/receipt" in self.request("GET", "/survey")

    def test_export(self):
        assert "7.25" in self.request("GET", "/trip/campaign.csv")

    def test_join(self):
        assert "trip" in self.request("GET", "/spenders")

    def test_cached_value(self):
        self.request("GET", "/trip/statistics")
        assert "true" in self.request("GET", "/lang/en?project=trip")
