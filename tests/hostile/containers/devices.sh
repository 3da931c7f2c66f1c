# ends: user
# says: exited with code 1
mknod /out/device c 1 3 || mknod /tmp/device b 8 0
