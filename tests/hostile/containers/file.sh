# One file that is too large.
# ends: user
dd if=/dev/zero of=/out/one bs=1M count=100
