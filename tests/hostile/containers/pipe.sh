# ends: user
# says: neither a file nor a directory
mknod /out/pipe p
