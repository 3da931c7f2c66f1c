# A folder that is a link to the host's, by its name there.
# ends: user
# says: neither a file nor a directory
mkdir /out/a
ln -s ../../.. /out/a/b
