"""The tables."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.functional import cached_property


class Member(AbstractUser):
    device = models.CharField(max_length=20)

    class Meta:
        db_table = "members"

    @cached_property
    def device_title(self) -> str:
        """The device as it is shown."""
        return f"device {self.device}"


class Order(models.Model):
    member = models.ForeignKey(Member, models.CASCADE)
    product = models.CharField(max_length=20)

    class Meta:
        db_table = "orders"
