#!/bin/busybox sh
# First program of the guest's kernel: find the root disk and go there. The image holds this file.
/bin/busybox mkdir -p /proc /sys /dev /newroot
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in virtio_pci virtio_blk crc32c_generic ext4; do
    /bin/busybox modprobe "$module" || echo "bench: no module $module"
done
/bin/busybox mount -t ext4 /dev/vda /newroot || echo "bench: no root disk"
# The second disk is a tar archive: what this run brings along.
/bin/busybox mount -t tmpfs luggage /newroot/luggage
/bin/busybox tar -xf /dev/vdb -C /newroot/luggage || echo "bench: no luggage"
for folder in proc sys dev; do
    /bin/busybox mount --move "/$folder" "/newroot/$folder"
done
exec /bin/busybox switch_root /newroot /bin/sh /luggage/guest_start.sh
