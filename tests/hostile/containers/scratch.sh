# Fills /tmp, which is small, and finds no other place to write.
# ends: done
# says: full
dd if=/dev/zero of=/tmp/one bs=1M count=1000 2>/dev/null && exit 1
for place in / /bin /etc /usr /var /proc /sys /dev /in; do
  echo x 2>/dev/null >"$place/x" && { echo "wrote to $place"; exit 1; }
done
echo full
