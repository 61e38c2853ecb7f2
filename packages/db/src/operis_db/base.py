"""What every table shares: one metadata, its naming of constraints, and the column types of the house."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.types import GUID, DateTimeUTC
from sqlalchemy import ARRAY, BigInteger, MetaData, Text, Uuid, func
from sqlalchemy.orm import DeclarativeBase, mapped_column
from uuid_utils.compat import uuid7

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

NewId = Annotated[UUID, mapped_column(GUID, default=uuid7)]
"""A UUIDv7, made by us: ids sort by the time they were made."""
Id = Annotated[UUID, mapped_column(GUID)]
Nano = Annotated[int, mapped_column(BigInteger)]
"""An amount of money in nanocredits (10^-9 credit)."""
Micro = Annotated[int, mapped_column(BigInteger)]
"""A price in microcredits per million units."""
Count = Annotated[int, mapped_column(BigInteger)]
Moment = Annotated[datetime, mapped_column(DateTimeUTC(timezone=True))]
CreatedAt = Annotated[datetime, mapped_column(DateTimeUTC(timezone=True), server_default=func.now())]


class Base(CommonTableAttributes, DeclarativeBase):
    __abstract__ = True
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[object, object]] = {  # pyright: ignore[reportIncompatibleVariableOverride]  # SQLAlchemy's own type is private
        UUID: GUID,
        list[UUID]: ARRAY(Uuid[UUID]()),
        list[int]: ARRAY(BigInteger),
        list[str]: ARRAY(Text),
    }
