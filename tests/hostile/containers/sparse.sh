# A file of 100 GiB that takes no room.
# ends: user
dd if=/dev/zero of=/out/hole bs=1 count=0 seek=100G
