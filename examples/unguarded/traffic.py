"""`python -m examples.unguarded.traffic`: sends the shop a few requests, and prints the answers."""

from __future__ import annotations

from fastapi.testclient import TestClient

from examples.unguarded.app import app

REQUESTS = (
    ("POST", "/customers?name=Aiko&email=aiko@example.com&product=antivirus"),
    ("POST", "/customers?name=Ben&email=ben@example.com&product=vpn"),
    ("POST", "/scans?customer_id=1&device_name=laptop&threats=3"),
    ("GET", "/renewals"),
    ("GET", "/statistics"),
    ("GET", "/campaign"),
    ("GET", "/customers/2"),
    ("GET", "/customers/9"),
)


def main() -> None:
    client = TestClient(app, raise_server_exceptions=False)
    for method, path in REQUESTS:
        response = client.request(method, path)
        print(method, path.partition("?")[0], response.status_code, response.text)


if __name__ == "__main__":
    main()
