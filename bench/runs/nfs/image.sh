#!/bin/sh
# image.sh WORK: what the machines of kills.py boot, in the folder WORK: vmlinuz, initrd and root.ext4, of Debian 12.
# Needs root, debootstrap, mke2fs, a network, and pip of Python 3.11, which is Debian 12's Python.
set -eu
here=$(dirname "$(realpath "$0")")
root=$1/root
mkdir -p "$1"
debootstrap --variant=minbase --include=iproute2,kmod,linux-image-amd64,nfs-common,nfs-kernel-server,procps,python3 \
    bookworm "$root"
echo 'MODULES=list' > "$root/etc/initramfs-tools/conf.d/small"
printf '%s\n' virtio_pci virtio_blk virtio_net ext4 > "$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u
python3.11 -m pip install --quiet --target "$root/opt/app" "$here/../../.."
mkdir -p "$root/opt/photos"
cp "$here"/../../../samples/hr/*.png "$root/opt/photos/"
cp "$here/made.py" "$root/opt/made.py"
install "$here/init.sh" "$root/sbin/machine"
mv "$root"/boot/vmlinuz-* "$1/vmlinuz"
mv "$root"/boot/initrd.img-* "$1/initrd"
mke2fs -q -t ext4 -d "$root" "$1/root.ext4" "$(($(du -sm "$root" | cut -f1) + 300))M"
