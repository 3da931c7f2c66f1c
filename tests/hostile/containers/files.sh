# Many files that are too much together.
# ends: user
# says: output
i=0
while :; do
  i=$((i + 1))
  dd if=/dev/zero of=/out/$i bs=100k count=1 2>/dev/null
done
