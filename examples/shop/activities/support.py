"""The support desk. Inquiries of leads and prospects are answered as such (2.2⑥, 3.2⑦).

The notice has no such purpose for customers: they are helped because the product is to be provided (1.2(2)①). So the
desk for inquiries sees that a customer wrote, and no more.
"""

from __future__ import annotations

from examples.shop import repository
from examples.shop.mailer import Mailer, Message
from examples.shop.models import Inquiry, Sent
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.AnyInquiryResponse)
def open_inquiries() -> list[Inquiry]:
    """All of them; name, address and text of those that customers sent are withheld."""
    return repository.inquiries()


@guard.purpose(tm.AnyInquiryResponse, channel="email")
def answer_inquiry(inquiry_id: int, text: str, mailer: Mailer) -> int:
    sender = repository.inquiry(inquiry_id).sender
    return mailer.send([Message(sender.email, "Your inquiry", f"Dear {sender.name},\n\n{text}")])


@guard.purpose(tm.ProductProvision, channel="email")
def help_customer(customer_id: int, text: str, mailer: Mailer) -> Sent:
    """The way for customers: the same mail, for a purpose that their data may serve."""
    contact = repository.customer_contact(customer_id)
    return Sent(customers=mailer.send([Message(contact.email, "Your product", f"Dear {contact.name},\n\n{text}")]))
