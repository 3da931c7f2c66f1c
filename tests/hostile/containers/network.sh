# Kubo's RPC, the machine's addresses, the engine's bridge, a cloud's metadata.
# ends: done
# says: nobody answers
for target in $TARGETS 172.17.0.1:22 172.17.0.1:80 169.254.169.254:80 100.100.100.200:80 192.0.2.1:443; do
  nc -w 1 "${target%:*}" "${target##*:}" </dev/null && { echo "reached $target"; exit 1; }
  wget -q -T 1 -O - "http://$target/" && { echo "reached $target"; exit 1; }
done
nc -w 1 -u 192.0.2.1 53 </dev/null && { echo "has a route"; exit 1; }
wget -q -T 1 -O - http://metadata.google.internal/ && { echo "has names"; exit 1; }
[ "$(ls /sys/class/net)" = lo ] || { echo "has an interface"; exit 1; }
echo nobody answers
