"""The attributes of a virtual server: bless's view of them, and Bumble's, which answers on the air."""

from __future__ import annotations

from typing import Final, cast

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.descriptor import BleakGATTDescriptor
from bless.backends.attribute import GATTAttributePermissions
from bless.backends.characteristic import BlessGATTCharacteristic, GATTCharacteristicProperties
from bless.backends.descriptor import BlessGATTDescriptor
from bless.backends.server import BaseBlessServer
from bless.backends.service import BlessGATTService
from bumble import att
from bumble.gatt import Characteristic, Descriptor

_PERMISSIONS: Final = {
    GATTAttributePermissions.readable: att.Attribute.READABLE,
    GATTAttributePermissions.writeable: att.Attribute.WRITEABLE,
    GATTAttributePermissions.read_encryption_required: att.Attribute.READ_REQUIRES_ENCRYPTION,
    GATTAttributePermissions.write_encryption_required: att.Attribute.WRITE_REQUIRES_ENCRYPTION,
}


class VirtualService(BlessGATTService):
    """A service as bless and bleak describe it."""

    def __init__(self, uuid: str) -> None:
        super().__init__(uuid)
        self._characteristics: dict[int, BleakGATTCharacteristic] = {}

    async def init(self, server: BaseBlessServer) -> None:
        """Nothing to register before the server starts."""

    @property
    def handle(self) -> int:
        """Bumble numbers the attributes when the server starts."""
        return 0

    def add_characteristic(self, characteristic: BleakGATTCharacteristic) -> None:
        """Append; before the start all handles are 0, so the place is the key."""
        self._characteristics[len(self._characteristics)] = characteristic

    def virtual_characteristics(self) -> list[VirtualCharacteristic]:
        """The characteristics, by their own type."""
        return cast("list[VirtualCharacteristic]", self.characteristics)


class VirtualCharacteristic(BlessGATTCharacteristic):
    """A characteristic, and from the start of the server on the Bumble attribute behind it."""

    def __init__(
        self,
        uuid: str,
        properties: GATTCharacteristicProperties,
        permissions: GATTAttributePermissions,
        value: bytearray | None,
    ) -> None:
        super().__init__(uuid, properties, permissions, value)
        self._value = bytearray(value or b"")
        self._descriptors: dict[int, BleakGATTDescriptor] = {}
        self.attribute: Characteristic[bytes] | None = None

    async def init(self, service: BlessGATTService) -> None:
        """Remember whose it is."""
        self._service = service

    @property
    def handle(self) -> int:
        """The attribute's handle, 0 before the start."""
        return self.attribute.handle if self.attribute else 0

    @property
    def value(self) -> bytearray:
        """The value that `update_value` notifies; a copy, as on BlueZ."""
        return bytearray(self._value)

    @value.setter
    def value(self, value: bytearray) -> None:
        self._value = value

    def add_descriptor(self, descriptor: BleakGATTDescriptor) -> None:
        """Append, as `VirtualService.add_characteristic` does."""
        self._descriptors[len(self._descriptors)] = descriptor

    def build(self, value: att.AttributeValue[bytes]) -> Characteristic[bytes]:
        """The Bumble attribute, served by `value`."""
        permissions = att.Attribute.Permissions(0)
        for ours, theirs in _PERMISSIONS.items():
            if self._permissions & ours:
                permissions |= theirs
        self.attribute = Characteristic(
            self.uuid,
            Characteristic.Properties(self._properties_flags.value & 0xFF),
            permissions,
            value,
            [cast("VirtualDescriptor", descriptor).build() for descriptor in self._descriptors.values()],
        )
        return self.attribute


class VirtualDescriptor(BlessGATTDescriptor):
    """A descriptor with a fixed value."""

    async def init(self, characteristic: BlessGATTCharacteristic) -> None:
        """Nothing to register before the server starts."""

    @property
    def handle(self) -> int:
        """Bumble numbers the attributes when the server starts."""
        return 0

    @property
    def value(self) -> bytearray:
        """The value it was made with."""
        return bytearray(self._initial_value or b"")

    @value.setter
    def value(self, value: bytearray) -> None:
        self._initial_value = value

    @property
    def uuid(self) -> str:
        """UUID of this descriptor."""
        return self._uuid

    def build(self) -> Descriptor:
        """The Bumble attribute."""
        return Descriptor(self.uuid, att.Attribute.READABLE, bytes(self.value))
