#!/bin/sh
# The first process of a machine of kills.py. Of the kernel's line: number=N (its address is 10.0.0.N; 1 serves), nfs=
# options of the mount. Then it does what it
# reads on the second serial port.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/opt/app PYTHONDONTWRITEBYTECODE=1 HOME=/tmp OMP_NUM_THREADS=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
for folder in /tmp /run /var/lib/nfs; do mount -t tmpfs tmpfs $folder; done
mkdir -p /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery /run/rpcbind
for word in $(cat /proc/cmdline); do case $word in number=* | nfs=*) export "${word?}" ;; esac; done
ip link set lo up
ip address add "10.0.0.$number/24" dev eth0
ip link set eth0 up
hostname "machine$number"
rpcbind -w
rpc.statd --no-notify
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
if [ "$number" = 1 ]; then
    mke2fs -q -t ext4 /dev/vdb
    mount /dev/vdb /mnt
    mkdir /mnt/whole /mnt/share
    modprobe nfsd
    mount -t nfsd nfsd /proc/fs/nfsd
    exportfs -o rw,sync,no_root_squash,no_subtree_check '*:/mnt/share'
    rpc.nfsd --grace-time 10 4
    rpc.mountd
else
    mount -t nfs -o "$nfs" 10.0.0.1:/mnt/share /mnt
fi
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo
echo '#END'
while read -r line; do eval "$line"; done
