"""Bluetooth LE without Bluetooth hardware: bleak and bless back ends over Bumble's virtual controllers.

    ether = Ether(RadioConditions(connection_interval=0.03), capture=Path("air.btsnoop"))
    reader = await ether.add_device("reader")             # a radio of this process
    server = VirtualBlessServer("BR-0a1b", reader)        # bless's API: bless_backend.py
    port = await ether.serve("127.0.0.1", 0)              # radios of other processes

    radio = await join("127.0.0.1", port)                 # in the other process
    scanner_class, client_class = backends(radio)         # bleak_backend.py
    found = await BleakScanner(backend=scanner_class, service_uuids=[gatt.SERVICE_UUID]).find...
    client = BleakClient(found, backend=client_class)

Scanning, connecting, MTU exchange, ATT errors, notifications and disconnects are real PDUs between two
Bluetooth stacks; only the radio waves are missing. It is a back end, no mock: the same reader and handset
code runs on real Bluetooth.
"""
