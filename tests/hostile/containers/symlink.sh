# ends: user
# says: neither a file nor a directory
ln -s /etc/passwd /out/link
