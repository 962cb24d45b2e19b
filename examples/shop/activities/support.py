"""The support desk. Inquiries of leads and prospects are answered under 2.2⑥ and 3.2⑦.

The notice has no such purpose for customers. The shop helps them to provide the product (1.2(1)①). So the desk for
inquiries sees that a customer wrote, but not what.
"""

from __future__ import annotations

from examples.shop import repository
from examples.shop.mailer import Mailer, Mailing
from examples.shop.models import Sent
from examples.shop.privacy import guard
from purposeguard import Use
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.AnyInquiryResponse, channel="email").with_use
def answer_inquiry(use: Use[tm.AnyInquiryResponse], inquiry_id: int, text: str, mailer: Mailer) -> int:
    inquiry = repository.inquiry(inquiry_id)
    sender = inquiry.lead or inquiry.prospect  # with `inquiry.customer` beside them no type checker lets it pass below
    if sender is None:
        raise repository.NotFound("inquiry of a lead or prospect", inquiry_id)
    mailing = Mailing(use)
    mailing.to_each([sender], "Your inquiry", text)
    mailer.send(mailing)
    return 1


@guard.purpose(tm.ProductProvision, channel="email").with_use
def help_customer(use: Use[tm.ProductProvision], customer_id: int, text: str, mailer: Mailer) -> Sent:
    """Send a customer the same mail, for a purpose that customers' data may serve."""
    mailing = Mailing(use)
    mailing.to_each([repository.customer_contact(customer_id)], "Your product", text)
    mailer.send(mailing)
    return Sent(customers=1)
